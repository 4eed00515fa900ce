"""Sentence tasks from raw tables to GLUE's zip, through the real entry points; and how a pretrained start is taken."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from data_prep.api import TASKS, prepare_task
from data_prep.core.manifest import sha256_of, write_manifest
from experiments.config import compose, identity, run_directory
from experiments.config.pretraining import pretraining_config
from experiments.engine import checkpoints
from experiments.engine.distributed import DistributedContext
from experiments.engine.families import family_of
from experiments.engine.families.glue.answers import write_answers
from experiments.engine.families.glue.prediction import predict
from experiments.engine.families.glue.pretrained import compare
from experiments.engine.families.glue.task import LRPESentencePredictionTask
from experiments.engine.translate import fairseq_config
from experiments.runs.store import scan
from experiments.runs.verification import problems
from experiments.submission import collect
from experiments.util.errors import UserError
from tests.experiments.conftest import TINY_BLM, TINY_GLUE, WORDS, only_run, run_module
from tests.experiments.engine.support import close_weights, curve_of, kill_at, record_of, same_weights, weights_of

ENCODING = "encoding=lrpe_unitary_learned"
HEAD = "classification_heads.sentence_classification_head"
ONE = DistributedContext(rank=0, local_rank=0, world_size=1, cuda=False)
TASK_ROWS = {"train": 40, "dev": 12, "test": 9}


def write_tables(folder: Path) -> Path:
    """Three of GLUE's tasks in its own files: one sentence; pairs with named classes; pairs with a score."""
    draw = random.Random(1)

    def sentence(length: int) -> str:
        return " ".join(draw.choices(WORDS, k=length))

    for task in ("CoLA", "RTE", "STS-B"):
        (folder / task).mkdir(parents=True)
    for split, rows in TASK_ROWS.items():
        labeled = split != "test"
        cola = [] if labeled else ["index\tsentence"]
        rte = ["index\tsentence1\tsentence2" + ("\tlabel" if labeled else "")]
        stsb = ["index\tsentence1\tsentence2" + ("\tscore" if labeled else "")]
        for row in range(rows):
            positive = row % 2 == 0
            words = sentence(6) + (" word7" if positive else " word8")  # what decides
            cola.append(f"src\t{int(positive)}\t\t{words}" if labeled else f"{row}\t{words}")
            name = "entailment" if positive else "not_entailment"
            rte.append(f"{row}\t{words}\t{sentence(30)}" + (f"\t{name}" if labeled else ""))
            stsb.append(f"{row}\t{words}\t{sentence(4)}" + (f"\t{draw.choice([0, 2.5, 5])}" if labeled else ""))
        for task, lines in (("CoLA", cola), ("RTE", rte), ("STS-B", stsb)):
            (folder / task / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def data(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data root with the small corpus and three sentence tasks in its words."""
    tables = write_tables(tmp_path_factory.mktemp("tables"))
    for task in ("cola", "rte", "stsb"):
        prepare_task(task, tiny_data / "wikitext2", out=tiny_data, source=tables, allow_other_counts=True)
    return tiny_data


@pytest.fixture(scope="module")
def results(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretraining and the fine-tuning on RTE that asked for it."""
    folder = tmp_path_factory.mktemp("glue")
    run_module("experiments.train", data, folder, *TINY_GLUE, ENCODING, "task=rte")
    return folder


@pytest.fixture
def _places(data: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRPE_DATA", str(data))
    monkeypatch.setenv("LRPE_RESULTS", str(results))
    checkpoints.install()


def test_a_fine_tuning_trains_its_pretraining_first_and_names_it(results: Path) -> None:
    pretrained, tuned = only_run(results, "blm"), only_run(results, "glue")
    assert record_of(pretrained)["status"] == "finished"
    record = record_of(tuned)
    assert (record["status"], record["run"]["task"], record["sentences"]) == ("finished", "rte", 12 * 4)
    start = record["manifest"]["pretrained"]
    assert start["checkpoint"] == str(pretrained / "checkpoints" / "checkpoint_best.pt")
    assert (start["start"], start["identity"]) == ("run", record_of(pretrained)["run"]["identity"])
    assert start["checkpoint_sha256"] == sha256_of(pretrained / "checkpoints" / "checkpoint_best.pt")
    assert start["new"] == [f"{HEAD}.{part}.{kind}" for part in ("dense", "output") for kind in ("bias", "weight")]
    assert all(name.startswith("masked_lm_head.") for name in start["unused"])
    assert start["taken"] == len(weights_of(tuned)) - len(start["new"])


def test_a_pretraining_can_be_trained_alone_and_is_the_same_run(results: Path, data: Path, tmp_path: Path) -> None:
    words = [*TINY_GLUE, ENCODING, "task=rte"]
    run_module("experiments.pretrain", data, tmp_path, *words)
    alone = only_run(tmp_path)
    assert alone.relative_to(tmp_path) == only_run(results, "blm").relative_to(results)
    assert record_of(alone)["metrics"] == record_of(only_run(results, "blm"))["metrics"]
    assert record_of(alone)["manifest"]["command"] == ["python", "-m", "experiments.pretrain", *words]
    refused = run_module("experiments.pretrain", data, tmp_path, "experiment=alm", check=False)
    assert refused.returncode == 2
    assert "this run starts from no other; use experiments.train" in refused.stderr


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


def test_the_answers_are_in_glue_s_format(results: Path, data: Path) -> None:
    lines = (only_run(results, "glue") / "predictions" / "RTE.tsv").read_text().splitlines()
    assert lines[0] == "index\tprediction"
    assert [line.split("\t")[0] for line in lines[1:]] == [str(row) for row in range(TASK_ROWS["test"])]
    assert {line.split("\t")[1] for line in lines[1:]} <= {"entailment", "not_entailment"}


@pytest.mark.usefixtures("_places")
def test_numbers_of_classes_are_in_glue_s_order(results: Path) -> None:
    tuned = only_run(results, "glue")
    found = predict(tuned / "checkpoints" / "checkpoint_best.pt", "valid")
    assert found.target is not None
    assert found.target.tolist() == [row % 2 for row in range(TASK_ROWS["dev"])], "0 is entailment, the even rows"
    test = predict(tuned / "checkpoints" / "checkpoint_best.pt", "test")
    written = (tuned / "predictions" / "RTE.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[1] for line in written] == [TASKS["rte"].labels[answer] for answer in test.answer]
    assert test.target is None


@pytest.mark.usefixtures("_places")
def test_answers_do_not_depend_on_what_they_are_batched_with(results: Path) -> None:
    path = only_run(results, "glue") / "checkpoints" / "checkpoint_best.pt"
    alone, together = (predict(path, "valid", sentences=size) for size in (1, 12))
    assert alone.answer.tolist() == together.answer.tolist()
    assert alone.loss == pytest.approx(together.loss, rel=1e-5)


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
def test_the_pretraining_is_part_of_a_fine_tuning_s_identity() -> None:
    words = [*TINY_GLUE, ENCODING, "task=rte"]
    base = compose(words)
    assert identity(pretraining_config(base)) == identity(compose([*TINY_BLM, ENCODING]))
    others = [
        ["pretraining.recipe.max_update=13"],
        ["pretraining.start=scratch"],
        ["task=cola"],
        ["recipe.learning_rate=5e-3"],
        ["recipe.head_dropout=0.1"],
    ]
    found = {identity(base), *(identity(compose([*words, *other])) for other in others)}
    assert len(found) == 1 + len(others)
    assert identity(compose([*words, "engine.threads=2", "tracker=offline"])) == identity(base)
    assert run_directory(base).parent.name.startswith("lrpe_unitary_learned-rte-")


@pytest.mark.usefixtures("_places")
def test_a_checkpoint_of_another_model_is_refused_by_name(results: Path) -> None:
    path = only_run(results, "blm") / "checkpoints" / "checkpoint_best.pt"
    weights = checkpoints.read(path)["model"]
    for words, message in (
        (["encoding=rope"], "encoder.layers.0.attention.encoding"),
        ([ENCODING, "model.ffn_dim=48"], r"ffn_in.bias has the shape \(64,\) and this config's model \(48,\)"),
        ([ENCODING, "protocol.absolute=sinusoidal", "model.num_layers=3"], "encoder.layers.2"),
    ):
        config = compose([*TINY_GLUE, "task=rte", "pretraining.start=scratch", *words])
        with pytest.raises(UserError, match=message):
            compare(family_of(config).build(config).state_dict(), weights, path)


@pytest.mark.usefixtures("_places")
def test_weights_arrive_unchanged(results: Path, data: Path) -> None:
    config = compose([*TINY_GLUE, ENCODING, "task=rte"])
    fairseq = fairseq_config(config, data / "unused", ONE)
    torch.manual_seed(0)
    model = LRPESentencePredictionTask.setup_task(fairseq.task).build_model(fairseq.model)
    pretrained = weights_of(only_run(results, "blm"), "checkpoint_best.pt")
    for name, weight in model.state_dict().items():
        if name.startswith("encoder."):
            assert torch.equal(weight, pretrained[name]), name
    decayed = {name for name, p in model.named_parameters() if not hasattr(p, "optim_overrides")}
    assert not [name for name in decayed if "norm" in name or "angle" in name]


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


@pytest.mark.usefixtures("_places")
def test_the_zip_that_glue_takes(results: Path, data: Path, tmp_path: Path) -> None:
    words = [word for word in TINY_GLUE if word != "experiment=glue"] + [ENCODING]
    with pytest.raises(UserError, match="data_prep.glue --task sst2"):
        collect(words, partial=True)
    tables = data / "glue" / "wikitext2"
    for task in TASKS:
        if not TASKS[task].embedded and not (tables / task).exists():
            (tables / task).mkdir()
            write_manifest(tables / task, {"schema": 1, "identity": task, "files": {}, "splits": {}})
    try:
        with pytest.raises(UserError, match="MNLI-m.tsv: python -m experiments.train experiment=glue"):
            collect(words, partial=False)
        out = tmp_path / "answers.zip"
        run_module("experiments.submission", data, results, *words, "partial=true", f"out={out}")
    finally:
        for task in TASKS:
            manifest = tables / task / "manifest.json"
            if manifest.exists() and len(list(manifest.parent.iterdir())) == 1:
                manifest.unlink()
                manifest.parent.rmdir()
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == ["RTE.tsv"]
        assert archive.read("RTE.tsv").decode().startswith("index\tprediction\n0\t")


def test_answers_that_are_not_the_data_s_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="9 rows"):
        write_answers(tmp_path, TASKS["rte"], "test", data / "glue" / "wikitext2" / "rte", np.zeros(8, dtype=int))


def test_every_task_at_once_is_a_sweep(data: Path, tmp_path: Path) -> None:
    words = [*TINY_GLUE, "encoding=rope", "pretraining.start=scratch", "recipe.max_update=1", "recipe.warmup_updates=1"]
    done = run_module("experiments.train", data, tmp_path, *words, "task=all", check=False)
    assert "data_prep.glue --task sst2" in done.stderr, "a task without data is named"
    tuned = {record_of(record.parent)["run"]["task"] for record in tmp_path.glob("runs/glue/*/seed*/record.json")}
    assert tuned == {"cola", "stsb", "rte"}, "and stops no other"
