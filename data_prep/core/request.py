"""What a caller asks for, and whether a prepared folder already answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.core.errors import DataError
from data_prep.core.manifest import sha256_of
from data_prep.text.bpe import load_encoder


@dataclass(frozen=True)
class Request:
    """Options of a preparation.

    Attributes:
        source: folder of local files; None for the hub or the embedded text.
        revision: of the hub's data set; None for the pinned one.
        bpe: folder of BPE files; None for GPT-2's of the hub. Of the ``*_bpe`` data sets.
        train_bpe: entries of a BPE to train on the train split instead.
        allow_other_counts: accept a text without the published counts.
        force: prepare again what is already there.
        skip_corrupt, decode, allow_missing_classes, validate_on_train, validation_labels: of image data sets, see
            :class:`data_prep.images.preparation.ImageCorpus` and :class:`data_prep.images.folder.ImageFolder`.
    """

    source: Path | None = None
    revision: str | None = None
    bpe: Path | None = None
    train_bpe: int | None = None
    allow_other_counts: bool = False
    force: bool = False
    skip_corrupt: bool = False
    decode: bool = False
    allow_missing_classes: bool = False
    validate_on_train: bool = False
    validation_labels: Path | None = None

    def refuse_options(self, name: str, *options: str, why: str) -> None:
        """Refuse options that the data set ``name`` does not have, rather than ignore them.

        Raises:
            DataError: names the option.
        """
        for option in options:
            if getattr(self, option) is not None:
                raise DataError(f"{name} {why}: it takes no {option}")

    def refuse_other(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        """Refuse to pass off data as what was asked for when it was prepared from something else.

        Local files are compared by name and content, and only while they are there.

        Raises:
            DataError: names what differs.
        """
        again = "--force prepares it again"
        if manifest["counts"] == "other" and not self.allow_other_counts:
            raise DataError(f"{folder} was prepared with --allow-other-counts, so its counts are not verified; {again}")
        if self.revision and self.revision != manifest["source"].get("revision"):
            found = manifest["source"].get("revision")
            raise DataError(f"{folder} was prepared from revision {found}, not {self.revision}; {again}")
        self._refuse_other_bpe(folder, manifest, again)
        self._refuse_other_images(folder, manifest, again)
        if self.source is None or manifest["source"]["kind"] != "local":
            return
        for name, entry in manifest["source"]["files"].items():
            path = self.source / name
            if path.is_file() and (path.stat().st_size != entry["bytes"] or sha256_of(path) != entry["sha256"]):
                raise DataError(f"{folder} was prepared from another {name} than {path} now is; {again}")

    def _refuse_other_bpe(self, folder: Path, manifest: Mapping[str, Any], again: str) -> None:
        """Perplexities under different vocabularies do not compare, so one is never taken for another."""
        bpe = manifest.get("bpe")
        if bpe is None or manifest["source"]["kind"] == "embedded":  # no BPE, or the only one that there is
            return
        found = "GPT-2's BPE" if bpe["kind"] == "gpt2" else f"a {bpe['kind']} BPE of {bpe['size']:,} entries"
        if self.train_bpe is not None:
            right, wanted = (
                (bpe["kind"], bpe["size"]) == ("trained", self.train_bpe),
                f"a trained one of {self.train_bpe:,}",
            )
        elif self.bpe is None:
            right, wanted = bpe["kind"] == "gpt2", "GPT-2's"
        else:
            right, wanted = (
                not self.bpe.is_dir() or load_encoder(self.bpe).sha256 == bpe["sha256"],
                f"that of {self.bpe}",
            )
        if not right:
            keep = f"--train-bpe {bpe['size']} keeps it, " if bpe["kind"] == "trained" else ""
            raise DataError(f"{folder} was prepared with {found}, not {wanted}: {keep}{again}")

    def _refuse_other_images(self, folder: Path, manifest: Mapping[str, Any], again: str) -> None:
        on_train = manifest.get("notes", {}).get("validated_on") == "train"
        if on_train != self.validate_on_train:
            raise DataError(f"{folder} was prepared with{'' if on_train else 'out'} --validate-on-train; {again}")
        root = manifest["source"].get("root")
        if self.source is not None and root is not None and Path(root) != self.source.absolute():
            raise DataError(f"{folder} is an index of {root}, not of {self.source}; {again}")
