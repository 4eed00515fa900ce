"""How long a run will take, judged by finished ones like it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from experiments.runs.records import Record, load_record
from experiments.runs.store import StoredRun, scan

# What an update's cost depends on beside the encoding; all of it has to be the same for a record to say anything.
COST_KEYS = (
    "experiment.name", "task.name", "data.name", "attention.name", "model.num_layers", "model.embed_dim",
    "model.ffn_dim", "model.num_heads", "recipe.batch_size", "recipe.tokens_per_sample", "recipe.max_length",
    "recipe.precision",
)  # fmt: skip


class Estimates:
    """Seconds of runs, from the finished records below ``results``."""

    def __init__(self, results: Path) -> None:
        self._runs: dict[str, list[StoredRun]] = {}
        self._configs: dict[Path, Mapping[str, Any]] = {}
        for run in scan(results):
            if (record := run.record) is not None and record.finished and record["updates"] and record["wall_seconds"]:
                self._runs.setdefault(record["run"]["experiment"], []).append(run)

    def per_update(self, config: Mapping[str, Any]) -> tuple[float, int] | None:
        """(the median of seconds per update over the finished runs with the same data, model, attention and batch,
        those of the same encoding where there are any; how many they are), or None where no finished run is alike."""
        similar = self._similar(config)
        if not similar:
            return None
        return statistics.median(record["wall_seconds"] / record["updates"] for record in similar), len(similar)

    def left(self, config: Mapping[str, Any], folder: Path) -> float | None:
        """Seconds for the updates that the run in ``folder`` has yet to do, or None where no finished run is like it or
        ``config`` is empty."""
        pace = self.per_update(config)
        if pace is None:
            return None
        updates = _value(config, "recipe.max_update")
        if not updates:
            updates = statistics.median(record["updates"] for record in self._similar(config))
        begun = load_record(folder)
        return pace[0] * max(0, updates - (begun["updates"] if begun is not None else 0))

    def _similar(self, config: Mapping[str, Any]) -> list[Record]:
        runs = [
            run
            for run in self._runs.get(str(_value(config, "experiment.name")), [])
            if all(_value(self._config(run), key) == _value(config, key) for key in COST_KEYS)
        ]
        encoding = _value(config, "encoding.name")
        alike = [run for run in runs if _value(self._config(run), "encoding.name") == encoding]
        return [run.record for run in alike or runs if run.record is not None]

    def _config(self, run: StoredRun) -> Mapping[str, Any]:
        """A run's config, read once for all of its seeds, which share it."""
        folder = run.folder.parent
        if folder not in self._configs:
            self._configs[folder] = run.config_or_nothing()
        return self._configs[folder]


def total(seconds: Iterable[float | None]) -> tuple[float, int]:
    """(the sum of what is known, how many are unknown)."""
    listed = list(seconds)
    return sum(value for value in listed if value is not None), sum(value is None for value in listed)


def _value(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
