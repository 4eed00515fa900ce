"""A run of seconds of each family, and what a broken one has to have in common with an unbroken one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from experiments.util.files import FIELD, file_checksum, record_checksum
from tests.experiments.conftest import TINY, TINY_BLM, TINY_GLUE
from tests.experiments.engine.imagenet.conftest import TINY as TINY_IMAGENET
from tests.experiments.engine.support import curve_of, record_of, same_weights, weights_of

ENCODING = "encoding=lrpe_unitary_learned"
FAMILIES = {
    "alm": [*TINY, ENCODING],
    "blm": [*TINY_BLM, ENCODING],
    "glue": [*TINY_GLUE, ENCODING, "task=rte"],
    "imagenet": [*TINY_IMAGENET, ENCODING],
}


def epoch_ends(rows: Sequence[dict[str, Any]]) -> list[int]:
    """Last updates of the epochs of a history, but for the last one."""
    trained = [row for row in rows if row["split"] == "train"]
    return [row["update"] for row, following in pairwise(trained) if row["epoch"] != following["epoch"]]


def assert_equal(broken: Path, unbroken: Path) -> None:
    record = record_of(broken)
    assert record["status"] == "finished"
    assert record[FIELD] == record_checksum({key: value for key, value in record.items() if key != FIELD})
    assert record["history_sha256"] == file_checksum(broken / "history.jsonl")
    assert record["metrics"] == record_of(unbroken)["metrics"]
    assert curve_of(broken) == curve_of(unbroken), "no hole and nothing twice"
    for name in ("checkpoint_last.pt", "checkpoint_best.pt"):
        assert same_weights(weights_of(broken, name), weights_of(unbroken, name))
    assert not [path for path in broken.rglob("*") if ".partial-" in path.name]
