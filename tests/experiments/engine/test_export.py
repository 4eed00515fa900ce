"""Exported runs: the library's model answers as the run's checkpoint, to the bit, and commands take its folder."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from data_prep.api import TASKS, prepare_task
from data_prep.text.tokens import load_tokens
from experiments.engine import checkpoints, loading
from experiments.engine.families import family_of_checkpoint
from experiments.util.errors import UserError
from lrpe import DecoderLM, MaskedLM, TextClassifier, VisionTransformer
from tests.experiments.conftest import TINY, TINY_BLM, TINY_GLUE, only_run, run_module
from tests.experiments.engine.glue.support import write_tables
from tests.experiments.engine.hub_server import HubServer
from tests.experiments.engine.imagenet.conftest import TINY as TINY_IMAGES
from tests.experiments.engine.imagenet.conftest import image_data  # noqa: F401 - a fixture
from tests.experiments.engine.support import record_of

ONCE = ["recipe.max_update=2", "recipe.warmup_updates=1", "recipe.validate_interval_updates=2"]
COUNTED = ("recipe.epochs", "recipe.warmup_epochs", "recipe.validate")  # what ONCE says otherwise
IMAGES = [word for word in TINY_IMAGES if not word.startswith(COUNTED)] + ONCE
SCRATCH = [word for word in TINY_GLUE if not word.startswith("pretraining.recipe")] + ["pretraining.start=scratch"]
TEXTS = torch.randint(4, 60, (2, 12), generator=torch.Generator().manual_seed(1))

Command = Callable[..., str]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """A command of ``experiments`` in this process: (module, data root, words) to what it printed."""

    def call(module: str, data: Path, *words: str) -> str:
        monkeypatch.setenv("LRPE_DATA", str(data))
        monkeypatch.setattr(sys, "argv", [module, *words])
        capsys.readouterr()
        import_module(f"experiments.{module}").main()
        return capsys.readouterr().out

    return call


def train(data: Path, results: Path, *words: str) -> Path:
    run_module("experiments.train", data, results, *words)
    return only_run(results)


def of_checkpoint(run: Path, data: Path) -> Any:
    checkpoints.install()
    path = run / "checkpoints" / "checkpoint_best.pt"
    family_of_checkpoint(path)
    return loading.load(path, data)[0]


def assert_scored_alike(command: Command, data: Path, run: Path, out: Path, *words: str) -> None:
    """``experiments.evaluate`` finds the same, in all printed digits."""
    first, second = (
        command("evaluate", data, f"run={folder}", "device=cpu", *words).splitlines()[-1] for folder in (run, out)
    )
    assert first == second


@pytest.fixture(scope="module")
def trained(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a language model whose permutations were drawn and whose softmax is adaptive."""
    words = [*TINY, *ONCE, "encoding=lrpe_permutation", "model.adaptive_cutoffs=[20,40]"]
    return train(tiny_data, tmp_path_factory.mktemp("alm"), *words)


@pytest.fixture
def out(command: Command, trained: Path, tiny_data: Path, tmp_path: Path) -> Path:
    """What :func:`trained` was exported to."""
    command("export", tiny_data, f"run={trained}", f"to={tmp_path / 'out'}")
    return tmp_path / "out"


def test_a_decoder(command: Command, trained: Path, out: Path, tiny_data: Path) -> None:
    with torch.inference_mode():
        expected = of_checkpoint(trained, tiny_data / "wikitext2").decoder.model(TEXTS)
        assert torch.equal(DecoderLM.from_pretrained(out)(TEXTS), expected)
    assert_scored_alike(command, tiny_data, trained, out)
    assert_scored_alike(command, tiny_data, trained, out, "length=16,64", "split=valid")


def test_generation_needs_no_prepared_data(
    command: Command, trained: Path, out: Path, tiny_data: Path, tmp_path: Path
) -> None:
    words = ["prompt=word1 word2", "tokens=8", "device=cpu"]
    there = command("generate", tiny_data, f"run={trained}", *words)
    assert command("generate", tmp_path / "nowhere", f"run={out}", *words) == there
    assert command("generate", tmp_path / "nowhere", f"checkpoint={out}", *words) == there


def test_the_card_has_the_record_s_facts_and_no_file_a_path(trained: Path, out: Path, tiny_data: Path) -> None:
    record, card = record_of(trained), (out / "README.md").read_text()
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert metadata["license"] == "mit"
    found = {metric["name"]: metric["value"] for metric in metadata["model-index"][0]["results"][0]["metrics"]}
    assert found["test perplexity"] == record["metrics"]["test_perplexity"]
    for fact in (
        f"| test perplexity | {record['metrics']['test_perplexity']:.4f} |",
        record["manifest"]["data"]["identity"],
        record["sha256"],
        "Protocol `controlled`: normalizer layernorm",
        "Wikipedia's text, CC BY-SA 3.0",
        'DecoderLM.from_pretrained("out")',
    ):
        assert fact in card
    for file in out.iterdir():
        for place in (trained.parents[3], tiny_data, out.parent):
            assert str(place).encode() not in file.read_bytes(), f"{file.name} names a folder of this machine"


def test_the_words_are_those_of_the_corpus(out: Path, tiny_data: Path) -> None:
    ours, theirs = load_tokens(out), load_tokens(tiny_data / "wikitext2")
    assert (ours.identity, ours.rule) == (theirs.identity, theirs.rule)
    assert ours.dictionary.entries == theirs.dictionary.entries


def test_a_masked_model(command: Command, tiny_data: Path, tmp_path: Path) -> None:
    run, out = train(tiny_data, tmp_path, *TINY_BLM, *ONCE, "encoding=lrpe_unitary"), tmp_path / "out"
    command("export", tiny_data, f"run={run}", f"to={out}")
    with torch.inference_mode():
        expected, _ = of_checkpoint(run, tiny_data / "wikitext2")(TEXTS)
        assert torch.equal(MaskedLM.from_pretrained(out)(TEXTS), expected)
    assert_scored_alike(command, tiny_data, run, out)


def test_a_classifier(command: Command, tiny_data: Path, tmp_path: Path) -> None:
    data, source, out = shutil.copytree(tiny_data, tmp_path / "data"), write_tables(tmp_path / "raw"), tmp_path / "out"
    prepare_task("rte", data / "wikitext2", out=data, source=source, allow_other_counts=True)
    run = train(data, tmp_path, *SCRATCH, *ONCE, "encoding=rope", "task=rte")
    command("export", data, f"run={run}", f"to={out}")
    with torch.inference_mode():
        model = of_checkpoint(run, data / "glue" / "wikitext2" / "rte")
        expected, _ = model(TEXTS, classification_head_name="sentence_classification_head")
        assert torch.equal(TextClassifier.from_pretrained(out)(TEXTS), expected)
    assert json.loads((out / "config.json").read_text())["labels"] == list(TASKS["rte"].labels)
    assert_scored_alike(command, data, run, out)


def test_an_image_classifier_answers_by_its_average(
    command: Command,
    image_data: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    run = train(image_data, tmp_path, *IMAGES, "encoding=lrpe_orthogonal", "recipe.average_decay=0.5")
    out = tmp_path / "out"
    command("export", image_data, f"run={run}", f"to={out}")
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = of_checkpoint(run, image_data / "cifar10")(images)
        assert torch.equal(VisionTransformer.from_pretrained(out)(images), expected)
    assert len(json.loads((out / "config.json").read_text())["labels"]) == 3
    for words in ([], [f"images={image_data / 'source' / 'train'}", "image_size=16"]):
        assert_scored_alike(command, image_data, run, out, *words)


def test_a_push_sends_the_folder(
    command: Command, trained: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = HubServer()
    with server.asked_by_the_client(monkeypatch) as address:
        said = command("export", tiny_data, f"run={trained}", f"to={tmp_path / 'x'}", "push=group/model")
    assert said.splitlines()[-1] == f"{address}/group/model"
    assert server.files["group/model"] == {path.name: path.read_bytes() for path in (tmp_path / "x").iterdir()}


WRONG = {
    "no run": (["to={tmp}/x"], "run=... is missing"),
    "no such run": (["run=nowhere", "to={tmp}/x"], "only a finished run is exported"),
    "something else is there": (["run={run}", "to={run}"], "something else is there"),
    "no license": (["run={run}", "to={tmp}/x", "license=My own"], "a word of the hub's list"),
    "no repository": (["run={run}", "to={tmp}/x", "push=name"], "expected ORG/NAME"),
    "offline": (["run={run}", "to={tmp}/x", "push=a/b"], "HF_HUB_OFFLINE is set"),
    "a misspelt key": (["run={run}", "too={tmp}/x"], "did you mean 'to'"),
    "no data": (["run={run}", "to={tmp}/x", "data={tmp}"], "holds no prepared data"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_refused(name: str, command: Command, trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    words, said = WRONG[name]
    with pytest.raises(UserError, match=said):
        command("export", tiny_data, *(word.format(run=trained, tmp=tmp_path) for word in words))
    assert not (tmp_path / "x").exists()


def test_a_pruned_run_says_that_its_checkpoint_is_gone(
    command: Command, trained: Path, tiny_data: Path, tmp_path: Path
) -> None:
    pruned = shutil.copytree(trained, tmp_path / "seed1", ignore=shutil.ignore_patterns("*.pt"))
    with pytest.raises(UserError, match=r"checkpoint_best\.pt is missing \(pruned\?\)"):
        command("export", tiny_data, f"run={pruned}", f"to={tmp_path / 'x'}")


def test_an_earlier_export_is_replaced_and_nothing_else(
    command: Command, trained: Path, out: Path, tiny_data: Path
) -> None:
    weights = out / "model.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(b"old")
    command("export", tiny_data, f"run={trained}", f"to={out}")
    assert weights.read_bytes() == before
    (out / "notes.txt").touch()
    with pytest.raises(UserError, match=r"notes\.txt is there beside an earlier export"):
        command("export", tiny_data, f"run={trained}", f"to={out}")


def test_evaluation_refuses_other_data_other_words_and_other_formats(
    command: Command, out: Path, tiny_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"data=\.\.\. names another folder"):
        command("evaluate", tmp_path, f"run={out}")
    with pytest.raises(UserError, match="record=true: expected run=<run folder>"):
        command("evaluate", tiny_data, f"run={out}", "length=16", "record=true")
    (out / "dict.txt").write_text("other 3\n")
    with pytest.raises(UserError, match="its numbers mean other words"):
        command("evaluate", tiny_data, f"run={out}")
    (out / "config.json").write_text('{"model_type": "gpt2"}')
    for module in ("evaluate", "generate", "inspect"):
        with pytest.raises(UserError, match=r"in the format of transformers \(gpt2\)"):
            command(module, tiny_data, f"run={out}")
