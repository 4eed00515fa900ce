"""What a run was made with: its config and its manifest, as flat keys, and a table of them that stores differences."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.util.files import flatten
from experiments.util.plain_yaml import read_mapping

_ABSENT = -1
# Prose, and checksums that data.identity already stands for.
_LEFT_OUT = ("not_guaranteed", "data.files", "data.source.files")


def read_config(path: Path) -> dict[str, Any]:
    """``config.yaml`` as flat keys, e.g. ``recipe.learning_rate``; empty where there is none.

    Raises:
        UserError: it is not YAML with keys and values.
    """
    return flatten(read_mapping(path)) if path.exists() else {}


def manifest_settings(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest as flat keys that begin with ``manifest.``; the command is one line."""
    known = {key: shlex.join(map(str, value)) if key == "command" else value for key, value in manifest.items()}
    return {
        f"manifest.{key}": value
        for key, value in flatten(known).items()
        if not any(key == other or key.startswith(f"{other}.") for other in _LEFT_OUT)
    }


def difference_table(settings: Sequence[Mapping[str, Any]]) -> tuple[dict[str, list[Any]], list[dict[int, int]]]:
    """The values of every key, the most common first, and for each run the keys where it has another value.

    Returns ``(table, differences)``: key number ``k`` of run ``i`` has the value
    ``list(table.values())[k][differences[i].get(k, 0)]``, or none at all where that index is -1.
    """
    keys = sorted({key for one in settings for key in one})
    table: dict[str, list[Any]] = {}
    differences: list[dict[int, int]] = [{} for _ in settings]
    for number, key in enumerate(keys):
        texts = [json.dumps(one[key], sort_keys=True, default=str) if key in one else None for one in settings]
        common = [text for text, _ in Counter(text for text in texts if text is not None).most_common()]
        index = {text: position for position, text in enumerate(common)}
        table[key] = [json.loads(text) for text in common]
        for difference, text in zip(differences, texts, strict=True):
            position = _ABSENT if text is None else index[text]
            if position:
                difference[number] = position
    return table, differences
