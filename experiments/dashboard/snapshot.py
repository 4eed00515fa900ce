"""Runs as the data of a page: JSON for the records, one compressed block for the numbers of all curves."""

from __future__ import annotations

import base64
import gzip
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from experiments.dashboard.settings import difference_table
from experiments.dashboard.store import Run
from experiments.runs.records import now
from experiments.util.files import finite, flatten

FORMAT = 1
_FIELDS = ("tokens_per_second", "peak_memory_bytes", "wall_seconds", "updates", "tokens", "error")
_ESCAPED = re.compile("[<\u2028\u2029\ud800-\udfff]")


def make_snapshot(
    runs: Sequence[Run],
    *,
    root: str = ".",
    removed: Iterable[str] = (),
    version: int = 0,
    store: str = "",
    references: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Plain data for JSON.

    ``root`` is the results folder as a link from the page; ``version`` and ``store`` are those of the
    :class:`RunStore` that the runs are from; ``references`` are those of
    :func:`experiments.dashboard.references.published_figures`. ``settings`` and each run's ``differs`` are
    :func:`difference_table`; ``columns`` holds the distinct columns of all curves (gzip, then base64): little-endian
    float32, the first bytes of all values, then the second bytes, and so on, because like bytes compress well.
    ``lengths`` says where one ends; a run's ``curves`` name columns by number.
    """
    table, differences = difference_table([run.settings for run in runs])
    columns = _Columns()
    return {
        "format": FORMAT,
        "store": store,
        "version": version,
        "written": now(),
        "root": root,
        "settings": [{"key": key, "values": values} for key, values in table.items()],
        "runs": [_run(run, differs, columns) for run, differs in zip(runs, differences, strict=True)],
        "removed": list(removed),
        "references": list(references),
        "lengths": columns.lengths,
        "columns": columns.encoded(),
    }


def link_to(results: Path, page: Path) -> str:
    """The results folder as a relative link from a page."""
    relative = os.path.relpath(results.resolve(), page.resolve().parent)
    return quote(os.fsencode(Path(relative).as_posix()))


def to_json(snapshot: Mapping[str, Any]) -> str:
    """JSON that may stand inside a ``script`` element of a file in UTF-8: nothing in it can end that element or open a
    comment, and half of a surrogate pair, which UTF-8 has no bytes for, is escaped too."""
    text = json.dumps(finite(snapshot), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _Columns:
    """Distinct columns: the seeds of a run share their updates, tokens and learning rates."""

    def __init__(self) -> None:
        self._number: dict[bytes, int] = {}

    def add(self, values: np.ndarray) -> int:
        return self._number.setdefault(values.astype("<f4").tobytes(), len(self._number))

    @property
    def lengths(self) -> list[int]:
        return [len(column) // 4 for column in self._number]

    def encoded(self) -> str:
        planes = np.frombuffer(b"".join(self._number), np.uint8).reshape(-1, 4).T
        return base64.b64encode(gzip.compress(planes.tobytes(), 9, mtime=0)).decode("ascii")


def _run(run: Run, differs: Mapping[int, int], columns: _Columns) -> dict[str, Any]:
    record = run.record
    segments = record.get("segments") or []
    return {
        "path": run.path,
        "status": run.status,
        "run": record.get("run") or {},
        "metrics": _numbers(record.get("metrics") or {}),
        "parameters": record.get("parameters") or {},
        **{name: record.get(name) for name in _FIELDS},
        "started": segments[0].get("started") if segments else None,
        "ended": segments[-1].get("ended") if segments else None,
        "segments": len(segments),
        "seen": run.seen,
        "problems": list(run.problems),
        "differs": differs,
        "curves": {
            split: {
                "rows": curve.rows,
                "columns": {name: columns.add(values) for name, values in curve.columns.items()},
            }
            for split, curve in run.curves.items()
        },
    }


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Metrics by flat name, e.g. ``mrpc.accuracy``; None stands for one that was not finite."""
    return {
        key: value if value is not None and math.isfinite(value) else None
        for key, value in flatten(metrics).items()
        if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
    }
