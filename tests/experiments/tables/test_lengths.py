"""Length extrapolation: measured on a checkpoint, kept in its record, shown where the model has positions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_prep.api import prepare
from experiments import evaluate
from experiments.figures.length import at_lengths
from experiments.runs.lengths import beyond_positions, lacking, length_of, metric_name
from experiments.runs.records import RunFolder
from experiments.runs.store import open_run
from experiments.runs.verification import problems
from experiments.util.errors import UserError
from tests.experiments.conftest import TINY, only_run, run_module, write_corpus
from tests.experiments.run_store import config_of


def test_names_of_metrics_at_a_length() -> None:
    assert metric_name("perplexity", 512) == "test_perplexity_at_512"
    assert length_of("metrics.test_perplexity_at_512") == 512
    assert [length_of(name) for name in ("test_perplexity", "valid_perplexity_at_x", "test_at_3")] == [None] * 3
    measured = {"test_perplexity_at_512": 9.0, "test_perplexity_at_1024": None}
    assert lacking(measured, [512, 1024, 2048]) == [2048], "a value that was not finite was measured"
    assert at_lengths({metric_name("perplexity", 512): 9.0}) == {512: 9.0}, "the figures find it"


def test_where_positions_end() -> None:
    learned = config_of(protocol__absolute="learned", model__max_positions=512, protocol__permutation_limit=None)
    assert beyond_positions(learned, 512) is None
    assert "exceeds the learned positions" in str(beyond_positions(learned, 513))
    published = config_of(encoding__name="permuteformer", protocol__absolute="none", protocol__permutation_limit=512)
    assert beyond_positions(published, 512) is None
    assert "permutation tables end at 512" in str(beyond_positions(published, 513))
    unlimited = config_of(encoding__name="permuteformer", protocol__absolute="none", protocol__permutation_limit=None)
    assert beyond_positions(unlimited, 1 << 20) is None


@pytest.fixture(scope="module")
def results(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the table of lengths leaves of one row with 512 learned positions, trained on 32 tokens."""
    results = tmp_path_factory.mktemp("results")
    done = run_module("experiments.table", tiny_data, results, *WORDS)
    (results / "said").write_text(done.stdout)
    return results


WORDS = ["table=length", "rows=absolute_learned", *TINY, "recipe.max_update=4"]


def test_the_table_measures_what_a_model_can_and_explains_the_rest(results: Path) -> None:
    (path,) = (results / "tables").glob("length-*.md")
    (row,) = [line for line in path.read_text().splitlines() if line.startswith("| Absolute, learned")]
    cells = [cell.strip() for cell in row.strip("|").split("|")][1:]
    metrics = RunFolder(only_run(results)).load()["metrics"]
    measured = [metrics["test_perplexity_at_256"], metrics["test_perplexity_at_512"]]
    assert cells == [f"{value:,.2f}" for value in measured] + ["—", "—"]
    assert "empty at 1,024, 2,048 tokens (length=1024 exceeds the learned positions" in path.read_text()


def test_the_record_is_sealed_anew_and_nothing_else_in_it_changed(results: Path) -> None:
    run = open_run(only_run(results))
    assert list(problems(run)) == []
    assert len(run.record["segments"]) == 1
    assert run.metrics["test_loss_at_256"] is not None
    assert "test_perplexity_at_1024" not in run.metrics


def test_a_second_call_measures_nothing(results: Path, tiny_data: Path) -> None:
    record = only_run(results) / "record.json"
    before = record.read_bytes()
    assert "1 finished runs to measure" in (results / "said").read_text()
    assert "to measure" not in run_module("experiments.table", tiny_data, results, *WORDS).stdout
    assert record.read_bytes() == before


def test_evaluate_at_lengths_agrees_with_training_and_the_record(results: Path, tiny_data: Path) -> None:
    folder = only_run(results)
    metrics = json.loads((folder / "record.json").read_text())["metrics"]
    words = [f"run={folder}", "device=cpu"]
    done = run_module("experiments.evaluate", tiny_data, results, *words, "length=32,256")
    shown = [line.split("perplexity ")[1].split(",")[0] for line in done.stdout.splitlines() if "perplexity" in line]
    assert shown == [f"{metrics[name]:.2f}" for name in ("test_perplexity", "test_perplexity_at_256")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["length=1"], "length=1: expected a whole number of at least 2"),
        (["length=long"], "length=long: expected a whole number of at least 2"),
        (["length=513"], "length=513 exceeds the learned positions, model.max_positions=512"),
        (["record=true"], "record=true: expected run=<run folder> and length=<tokens>"),
        (["record=true", "length=64", "split=valid"], "a record keeps the test split"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_the_checkpoint_is_read(
    results: Path, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["evaluate", f"run={only_run(results)}", *words])
    with pytest.raises(UserError, match=message):
        evaluate.main()


def test_other_data_is_not_recorded(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare("wikitext2", out=tmp_path, source=write_corpus(tmp_path / "source", lines=60), allow_other_counts=True)
    other = tmp_path / "wikitext2"
    words = [f"run={only_run(results)}", f"data={other}", "length=64", "record=true", "device=cpu"]
    monkeypatch.setattr("sys.argv", ["evaluate", *words])
    with pytest.raises(UserError, match="was trained on"):
        evaluate.main()
