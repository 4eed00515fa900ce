"""Text from the Hugging Face hub, through ``datasets``."""

from __future__ import annotations

import hashlib
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from data_prep.core.errors import DataError
from data_prep.text.text_source import decode_lines

ROWS = 4096
PROBE_SECONDS = 5
OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")


class HubError(DataError):
    """The hub does not deliver, and will not for the next data set either."""


def require_hub(what: str, instead: str) -> None:
    """Fail within seconds where the hub cannot be reached; the hub's own client retries for half a minute.

    Args:
        what: the data set, for the message.
        instead: what to do without the hub, for the message.

    Raises:
        DataError: offline by choice (HF_HUB_OFFLINE, HF_DATASETS_OFFLINE) or by circumstance.
    """
    if any(os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"} for name in OFFLINE):
        os.environ[OFFLINE[0]] = "1"  # the hub's client knows this one alone
        return  # the client answers at once then, from its cache where it has the data
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return  # it answered
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise HubError(unreachable(what, f"{endpoint}: {reason}", instead)) from error


def unreachable(what: str, reason: str, instead: str) -> str:
    """The one message for a hub that does not deliver."""
    return (
        f"cannot get {what} from the Hugging Face hub ({reason}). Without the hub: {instead}. "
        "With a copy in the hub's own cache: set HF_HUB_OFFLINE=1"
    )


def load_splits(
    identifier: str, configuration: str, revision: str | None, splits: Sequence[str], instead: str
) -> Mapping[str, Any]:
    """Splits of a data set of the hub, by name (``datasets.Dataset`` each).

    Args:
        identifier: ``owner/name`` on the hub.
        configuration: of that data set.
        revision: commit, branch or tag.
        splits: that it must have.
        instead: what to do without the hub, for messages.

    Raises:
        DataError: the hub cannot be reached, or does not have the data.
    """
    what = f"{identifier} ({configuration})"
    require_hub(what, instead)
    import datasets  # seconds to import, and needed on this path only
    from datasets.exceptions import DatasetsError

    try:
        rows = cast(Mapping[str, Any], datasets.load_dataset(identifier, configuration, revision=revision))
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HubError(unreachable(what, reason, instead)) from error
    missing = [name for name in splits if name not in rows]
    if missing:
        raise DataError(f"{what} has no split {missing[0]!r} at revision {revision}: found {', '.join(rows)}")
    return rows


def resolved_revision(rows: Mapping[str, Any]) -> str | None:
    """The commit that was read, from the addresses of the files that ``datasets`` downloaded."""
    addresses = next(iter(rows.values())).info.download_checksums or {}
    found = (re.search(r"@([0-9a-f]{40})/", address) for address in addresses)
    return next((match[1] for match in found if match), None)


class HubRows:
    """A data set of the hub whose rows are lines of text.

    Row by row one line: its line end, where the hub kept one, is removed; blank lines are rows too (empty strings), so
    the counts are those of the original files.

    Args:
        identifier: ``owner/name`` on the hub.
        configuration: of that data set.
        revision: commit, branch or tag.
        instead: what to do without the hub, for messages.

    Raises:
        DataError: the hub cannot be reached, or does not have the data.
    """

    HUB_SPLITS: Mapping[str, str] = {"train": "train", "valid": "validation", "test": "test"}

    def __init__(self, identifier: str, configuration: str, revision: str | None, instead: str) -> None:
        self.identifier, self.configuration, self.revision = identifier, configuration, revision
        self._digests: dict[str, str] = {}
        self._rows = load_splits(identifier, configuration, revision, tuple(self.HUB_SPLITS.values()), instead)

    def blocks(self, split: str) -> Iterator[list[str]]:
        digest = hashlib.sha256()
        line = 1
        for batch in self._rows[self.HUB_SPLITS[split]].iter(batch_size=ROWS):
            lines = [row.removesuffix("\n").removesuffix("\r") for row in batch["text"]]
            block = "".join(f"{text}\n" for text in lines).encode("utf-8", "surrogatepass")
            digest.update(block)
            found = decode_lines(block, self.label(split), line)
            if len(found) != len(lines):
                number = line + next(index for index, text in enumerate(lines) if "\n" in text)
                raise DataError(
                    f"{self.label(split)}, row {number}: a line end inside the row, where one row is one line"
                )
            line += len(found)
            yield found
        self._digests[split] = digest.hexdigest()

    def label(self, split: str) -> str:
        return f"{self.identifier} ({self.configuration}, {self.HUB_SPLITS[split]})"

    def size(self, split: str) -> int:
        info = self._rows[self.HUB_SPLITS[split]].info
        sizes = (info.splits or {}).get(self.HUB_SPLITS[split])
        return int(sizes.num_bytes or 0) if sizes else 0

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "hub",
            "id": f"{self.identifier}/{self.configuration}",
            "revision": resolved_revision(self._rows) or self.revision,
            "files": {self.HUB_SPLITS[split]: {"sha256": digest} for split, digest in self._digests.items()},
        }
