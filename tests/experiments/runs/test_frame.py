"""All runs as one table, for pandas and as CSV."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pandas
import pytest

from experiments.runs import frame
from tests.experiments.run_store import write_run
from tests.experiments.runs.conftest import Command


def test_one_row_a_run_and_what_it_lacks_is_missing(store: Path) -> None:
    table = frame(store)
    assert len(table) == 7
    assert table["status"].tolist().count("finished") == 2
    rope = table[table.encoding == "rope"].set_index("seed")
    assert rope.loc[1, "metrics.valid_loss"] == 3.0
    assert rope.loc[2, "metrics.test_perplexity"] == pytest.approx(math.exp(3.3))
    assert rope.loc[1, "config.recipe.learning_rate"] == 0.004
    assert rope.loc[1, "manifest.git.commit"] == "c" * 40
    assert table[table.status != "finished"]["metrics.valid_loss"].isna().all()
    assert table[table.status == "broken"]["problem"].item().endswith("move the folder away")
    groups = [name.partition(".")[0] for name in table.columns if "." in name]
    assert list(dict.fromkeys(groups)) == ["metrics", "parameters", "config", "manifest"]


def test_seeds_can_be_averaged(tmp_path: Path) -> None:
    for seed, loss in ((1, 3.0), (2, 3.5)):
        write_run(tmp_path, seed=seed, loss=loss)
    assert frame(tmp_path).groupby("encoding")["metrics.valid_loss"].mean().to_dict() == {"rope": 3.25}


def test_an_empty_store_is_an_empty_table(tmp_path: Path) -> None:
    table = frame(tmp_path)
    assert len(table) == 0
    assert {"experiment", "encoding", "status"} <= set(table.columns)


def test_the_csv_is_the_same_table(store: Path, command: Command) -> None:
    code, text = command("export", "status=finished")
    assert code == 0
    read = pandas.read_csv(io.StringIO(text), dtype={"identity": str})
    expected = frame(store).query("status == 'finished'")
    assert read["metrics.valid_loss"].tolist() == expected["metrics.valid_loss"].tolist()
    assert read["identity"].tolist() == expected["identity"].tolist()
    written = store / "out" / "runs.csv"
    assert command("export", "status=finished", f"out={written}") == (0, f"2 runs written to {written}\n")
    assert written.read_text() == text
