"""Sentence tasks from raw tables to scores, through the real entry points."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.config import compose
from experiments.engine.families.glue.task import LRPESentencePredictionTask
from experiments.engine.translate import fairseq_config
from experiments.runs.store import scan
from experiments.runs.verification import problems
from tests.experiments.conftest import TINY_GLUE, only_run, run_module
from tests.experiments.engine.glue.support import ENCODING, TASK_ROWS
from tests.experiments.engine.support import ONE, close_weights, curve_of, kill_at, record_of, same_weights, weights_of


def test_every_run_is_found_where_its_record_says(results: Path) -> None:
    assert [run.keys["experiment"] for run in scan(results)] == ["blm", "glue"]
    assert [problem for run in scan(results) for problem in problems(run)] == []


def test_metrics_are_those_of_the_best_checkpoint(results: Path) -> None:
    tuned = only_run(results, "glue")
    metrics = record_of(tuned)["metrics"]
    valid = [row for row in curve_of(tuned) if row["split"] == "valid"]
    assert metrics["valid_accuracy"] == max(row["accuracy"] for row in valid) == metrics["valid_score"]
    assert {round(row["accuracy"] * TASK_ROWS["dev"], 6) % 1 for row in valid} == {0.0}, "exact, not rounded"
    assert "perplexity" not in valid[0]


def test_a_regression_from_scratch(data: Path, tmp_path: Path) -> None:
    words = [*TINY_GLUE, "encoding=rope", "task=stsb", "pretraining.start=scratch", "recipe.learning_rate=1e-2"]
    run_module("experiments.train", data, tmp_path, *words)
    tuned = only_run(tmp_path)
    record = record_of(tuned)
    assert record["manifest"]["pretrained"] == {"start": "scratch"}
    assert {"valid_pearson", "valid_spearman", "valid_score"} <= record["metrics"].keys()
    answers = [line.split("\t")[1] for line in (tuned / "predictions" / "STS-B.tsv").read_text().splitlines()[1:]]
    assert all(len(answer.split(".")[1]) == 3 and 0 <= float(answer) <= 5 for answer in answers)
    said = run_module("experiments.evaluate", data, tmp_path, f"run={tuned}")
    assert f"pearson {record['metrics']['valid_pearson']:.4f}" in said.stdout
    refused = run_module("experiments.evaluate", data, tmp_path, f"run={tuned}", "split=test", check=False)
    assert refused.returncode == 2
    assert "GLUE does not publish its labels" in refused.stderr


@pytest.mark.usefixtures("_places")
def test_pairs_are_divided_and_cut(data: Path) -> None:
    config = compose([*TINY_GLUE, "encoding=rope", "task=rte"])
    task = LRPESentencePredictionTask.setup_task(fairseq_config(config, data / "unused", ONE).task)
    task.load_dataset("valid")
    dataset, words = task.dataset("valid"), task.source_dictionary
    tokens = dataset[0]["net_input.src_tokens"]
    first = data / "glue" / "wikitext2" / "rte" / "input0"
    assert len(tokens) == 24, "7 words and 30, with <s>, </s> </s> and the end, are more than recipe.max_length"
    assert tokens[[0, 8, 9]].tolist() == [words.bos(), words.eos(), words.eos()]
    assert words.string(tokens[1:8]).split()[-1] in ("word7", "word8")
    assert (first / "dict.txt").is_file()
    config = compose([*TINY_GLUE, "encoding=rope", "task=cola"])
    task = LRPESentencePredictionTask.setup_task(fairseq_config(config, data / "unused", ONE).task)
    task.load_dataset("valid")
    tokens = task.dataset("valid")[0]["net_input.src_tokens"]
    assert (tokens[0], tokens[-1], len(tokens)) == (words.bos(), words.eos(), 9)


@pytest.mark.slow  # tests/faults kills every family at other moments
def test_killed_and_restarted_equals_unbroken(results: Path, data: Path, tmp_path: Path) -> None:
    words = [*TINY_GLUE, ENCODING, "task=rte"]
    kill_at(6, data, tmp_path, words, experiment="glue")
    run_module("experiments.train", data, tmp_path, *words)
    broken, unbroken = only_run(tmp_path, "glue"), only_run(results, "glue")
    assert same_weights(weights_of(broken), weights_of(unbroken))
    assert curve_of(broken) == curve_of(unbroken)
    assert record_of(broken)["metrics"] == record_of(unbroken)["metrics"]


@pytest.mark.slow  # as every family does, by the same engine
def test_two_processes_equal_one(results: Path, data: Path, tmp_path: Path) -> None:
    start = only_run(results, "blm") / "checkpoints" / "checkpoint_best.pt"
    words = [*TINY_GLUE, ENCODING, "task=cola", "pretraining.start=checkpoint", f"pretraining.checkpoint={start}"]
    words += ["model.dropout=0", "recipe.max_update=4"]
    run_module("experiments.train", data, tmp_path / "one", *words)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    run_module("experiments.train", data, tmp_path / "two", *words, launcher=launcher)
    one, two = only_run(tmp_path / "one"), only_run(tmp_path / "two")
    assert one.parent.name == two.parent.name
    close_weights(weights_of(one), weights_of(two))
    matthews = [record_of(folder)["metrics"]["valid_matthews"] for folder in (one, two)]
    assert matthews[0] == pytest.approx(matthews[1])


def test_bad_input_is_one_message(data: Path, tmp_path: Path) -> None:
    for words, message in (
        (["task=sst2"], "data_prep.glue --task sst2"),
        (["task=rte", "pretraining.start=checkpoint", "pretraining.checkpoint=/no/such.pt"], "no such file"),
        (["task=rte", "task.metric=f1"], "measured by accuracy"),
    ):
        done = run_module("experiments.train", data, tmp_path, *TINY_GLUE, "encoding=rope", *words, check=False)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("seed*"))


def test_every_task_at_once_is_a_sweep(data: Path, tmp_path: Path) -> None:
    words = [*TINY_GLUE, "encoding=rope", "pretraining.start=scratch", "recipe.max_update=1", "recipe.warmup_updates=1"]
    done = run_module("experiments.train", data, tmp_path, *words, "task=all", check=False)
    assert "data_prep.glue --task sst2" in done.stderr, "a task without data is named"
    tuned = {record_of(record.parent)["run"]["task"] for record in tmp_path.glob("runs/glue/*/seed*/record.json")}
    assert tuned == {"cola", "stsb", "rte"}, "and stops no other"
