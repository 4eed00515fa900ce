"""Run folders as training leaves them, and the fake server as they should be there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from experiments.runs.records import RunFolder
from experiments.tracking.rows import as_wandb_rows
from tests.faults.wandb_server import WandbServer

RUN = {
    "experiment": "alm",
    "encoding": "rope",
    "protocol": "controlled",
    "profile": "demo",
    "data": "pydoc",
    "seed": 2,
    "identity": "0123abcd",
    "name": "rope seed 2",
}
CONFIG = {"data": {"name": "pydoc"}, "seed": 2, "tracker": {"project": "lrpe", "entity": None, "api_key": "planted"}}
ID = "0123abcd-seed2"


def row(update: int, split: str = "train", speed: float = 5.0) -> dict[str, Any]:
    values = {"loss": 1 / update, "perplexity": 2.0, "tokens_per_second": speed, "peak_memory_bytes": 9}
    return {"update": update, "tokens": update * 10, "epoch": 1, "split": split, "gradient_norm": None, **values}


def rows(updates: Iterable[int], speed: float = 5.0) -> list[dict[str, Any]]:
    """Every update's training row, and every tenth's validation."""
    return [
        row(update, split, speed)
        for update in updates
        for split in (("train", "valid") if update % 10 == 0 else ("train",))
    ]


def run_folder(results: Path) -> RunFolder:
    """A folder in the store's layout, with a config and no record yet."""
    folder = RunFolder(results / "runs" / "alm" / "rope-0123abcd" / "seed2")
    folder.write_config(yaml.safe_dump(CONFIG))
    return folder


def begin(folder: RunFolder, from_update: int = 0) -> None:
    folder.begin(RUN, manifest={}, from_update=from_update, parameters={"total": 7, "encoding": 0})


def finish(folder: RunFolder, update: int) -> None:
    folder.close("finished", to_update=update, metrics={"valid_perplexity": 12.5}, tokens=update * 10)


def assert_equal(server: WandbServer, folder: RunFolder) -> None:
    """The server's rows are those of ``history.jsonl``, each once and in order, and its state is the record's."""
    assert server.runs.keys() == {ID}
    assert server.run.rows == as_wandb_rows(folder.history())
    record = folder.load()
    assert record is not None
    assert server.run.state == ("finished" if record.finished else "failed")
