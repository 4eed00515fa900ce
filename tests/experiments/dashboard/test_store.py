"""The store reads what changed, and a broken run breaks nothing but itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from experiments.dashboard import store as store_module
from experiments.dashboard.store import RunStore
from tests.experiments.dashboard.conftest import Write, rows_of


def test_a_run_is_read_with_record_config_and_history(write_run: Write, results: Path) -> None:
    write_run(
        "rope", 3, metrics={"test_perplexity": 90.0}, rows=rows_of([5.0, 4.0]), config="recipe: {learning_rate: 0.1}"
    )
    store = RunStore(results)
    assert store.refresh()
    (run,) = store.runs.values()
    assert run.path == "runs/alm/rope-0123abcd/seed3"
    assert run.status == "finished"
    assert run.record["metrics"] == {"test_perplexity": 90.0}
    assert run.settings["recipe.learning_rate"] == 0.1
    assert run.settings["manifest.python"] == "3.11"
    assert run.curves["valid"].columns["perplexity"].tolist() == [5.0, 4.0]
    assert run.problems == ()


def test_only_changed_runs_are_read_again(write_run: Write, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write_run("rope", 1)
    second = write_run("rope", 2, status=None, rows=rows_of([5.0]))
    store = RunStore(results)
    store.refresh()
    read = []
    original = store_module.read_run
    monkeypatch.setattr(store_module, "read_run", lambda folder, path: read.append(path) or original(folder, path))
    assert not store.refresh()
    assert read == []
    second.append(rows_of([5.0, 4.0])[1])
    assert store.refresh()
    assert read == ["runs/alm/rope-0123abcd/seed2"]
    second.close("finished", to_update=200, metrics={"test_perplexity": 4.0})
    third = write_run("none", 1)
    shutil.rmtree(first.path)
    assert store.refresh()
    assert [run.path for run in store.since(2)[0]] == ["runs/alm/none-0123abcd/seed1", "runs/alm/rope-0123abcd/seed2"]
    assert store.since(2)[1] == ["runs/alm/rope-0123abcd/seed1"]
    assert store.since(store.version) == ([], [])
    assert third.path.exists()


def test_what_cannot_be_read_is_a_problem_of_that_run_alone(write_run: Write, results: Path) -> None:
    write_run("good", 1)
    write_run("bad_record", 2).record_path.write_text("{")
    write_run("bad_history", 1, metrics={"loss": 1.0}).history_path.write_text("no row\n{}\n")
    write_run("bad_config", 1, config="a: [")
    store = RunStore(results)
    store.refresh()
    good, record, history, config = (
        store.runs[f"runs/alm/{name}-0123abcd/seed{seed}"]
        for name, seed in (("good", 1), ("bad_record", 2), ("bad_history", 1), ("bad_config", 1))
    )
    assert good.problems == ()
    assert record.status == "unreadable"
    assert record.record == {
        "run": {"experiment": "alm", "encoding": "bad_record", "identity": "0123abcd", "seed": 2}
    }, "no number without a record"
    assert "not a readable record" in record.problems[0]
    assert (history.status, history.curves) == ("finished", {})
    assert "history.jsonl, line 1" in history.problems[0]
    assert "config.yaml cannot be read" in config.problems[0]


def test_folders_without_a_record_are_no_runs(results: Path) -> None:
    (results / "runs" / "alm" / "rope-0123abcd" / "seed1").mkdir(parents=True)
    store = RunStore(results)
    assert not store.refresh()
    assert store.runs == {}
