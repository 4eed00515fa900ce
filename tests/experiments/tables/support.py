"""Made-up records and the numbers of a small table, for tests that train nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.runs.records import Record
from experiments.tables.aggregate import Results, aggregate
from experiments.tables.grid import make_grid
from experiments.tables.reference import Figure
from experiments.tables.sheet import Grid
from experiments.tables.spec import Column, Row, TableSpec

ROOT = Path(__file__).resolve().parents[3]
PERPLEXITY = Column("Test ppl", "min", 2, "metrics.test_perplexity", compare=True)
SPEED = Column("Tokens/s", "max", 0, "tokens_per_second")
SIZE = Column("Parameters (M)", "none", 1, "parameters.total", scale=1e-6)
ROWS = tuple(Row(key, f"Label {key}", (f"encoding={key}",)) for key in ("none", "rope", "lrpe"))


def spec(**changes: Any) -> TableSpec:
    fields: dict[str, Any] = {
        "name": "t", "title": "Title", "experiment": "alm", "rows": ROWS, "columns": (PERPLEXITY, SPEED, SIZE),
        "baseline": "none", "reference": None, "rows_by_profile": {}, "seeds_by_profile": {"demo": 2},
    }  # fmt: skip
    return TableSpec(**{**fields, **changes})


def record(
    seed: int = 1, perplexity: float | None = 10.0, speed: float = 100.0, encoding: str = "none", **changes: Any
) -> Record:
    content = {
        "status": "finished",
        "run": {"seed": seed, "identity": "0123abcd", "protocol": "controlled", "name": f"run {seed}"},
        "metrics": {"test_perplexity": perplexity, "valid_loss": perplexity, "unigram_perplexity": 900.5},
        "parameters": {"total": 2_500_000, "encoding": 0},
        "tokens_per_second": speed,
        "segments": [{"ended": "2026-01-02T03:04:05+00:00"}],
        "manifest": {"git": {"commit": "c" * 40, "dirty": True}, "python": "3.11.7", "packages": {"torch": "2.13"}},
    }
    return Record(Path(f"/results/runs/alm/{encoding}-0123abcd/seed{seed}"), {**content, **changes})


def results(values: Mapping[str, Sequence[float | None]], reference: Mapping[Any, Figure] | None = None) -> Results:
    records = {
        (key, "controlled", ()): [record(seed, value, encoding=key) for seed, value in enumerate(listed, start=1)]
        for key, listed in values.items()
    }
    table = spec()
    return aggregate(table, ROWS, table.columns, ["controlled"], 3, records, reference or {})


def grid_of(values: Mapping[str, Sequence[float | None]], reference: Mapping[Any, Figure] | None = None) -> Grid:
    return make_grid(results(values, reference), ["a note"])
