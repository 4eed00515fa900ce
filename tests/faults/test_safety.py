"""Nothing that is read runs code, and no secret is written down."""

from __future__ import annotations

import ast
import json
import os
import pickle
import re
import tarfile
from pathlib import Path

import pytest
import torch
from fairseq import checkpoint_utils

from data_prep.api import DataError, prepare
from experiments.config import compose, run_directory
from experiments.engine.kernels import trained_kernels
from experiments.util.errors import UserError
from tests.experiments.conftest import ROOT, TINY, run_module, write_corpus
from tests.faults.commands import call
from tests.faults.counts import Tally

PLANTED = "Sup3rSecretValue0123456789"


class Hostile:
    def __init__(self, bait: Path) -> None:
        self.bait = bait

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.bait}",)


def hostile_checkpoint(path: Path, bait: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"optimizer_history": [{"num_updates": 1}], "model": Hostile(bait), "cfg": Hostile(bait)}, path)
    return path


@pytest.mark.parametrize("command", ["evaluate", "generate", "inspect"])
def test_a_hostile_checkpoint_is_refused_by_every_command(command: str, tmp_path: Path, tally: Tally) -> None:
    bait = tmp_path / "bait"
    path = hostile_checkpoint(tmp_path / "checkpoints" / "checkpoint_best.pt", bait)
    with tally("hostile pickle") as how:
        assert str(path) in call(f"experiments.{command}", f"checkpoint={path}").message
        assert not bait.exists()
        how.append("refused")


@pytest.mark.faults
def test_a_hostile_start_of_a_fine_tuning_is_refused(
    tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRPE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LRPE_RESULTS", str(tmp_path / "results"))
    bait = tmp_path / "bait"
    path = hostile_checkpoint(tmp_path / "model.pt", bait)
    words = ["experiment=glue", "task=pydoc_order", "tracker=disabled", "pretraining.start=checkpoint"]
    with tally("hostile pickle") as how:
        said = call("experiments.train", *words, f"pretraining.checkpoint={path}", seconds=120).message
        assert str(path) in said
        assert not bait.exists()
        how.append("refused")


def test_a_hostile_checkpoint_of_a_broken_run_is_not_resumed(
    tiny_data: Path, tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRPE_DATA", str(tiny_data))
    monkeypatch.setenv("LRPE_RESULTS", str(tmp_path / "results"))
    bait = tmp_path / "bait"
    folder = run_directory(compose(TINY))
    for name in ("checkpoint_last.pt", "checkpoint_1_4.pt"):
        hostile_checkpoint(folder / "checkpoints" / name, bait)
    with tally("hostile pickle", 2) as how:
        assert str(folder / "checkpoints") in call("experiments.train", *TINY).message
        assert not bait.exists()
        how.append("refused")


def test_a_hostile_checkpoint_gives_no_figure(tmp_path: Path, tally: Tally) -> None:
    bait = tmp_path / "bait"
    path = hostile_checkpoint(tmp_path / "checkpoints" / "checkpoint_best.pt", bait)
    with tally("hostile pickle") as how:
        with pytest.raises(UserError, match=re.escape(str(path))):
            trained_kernels(tmp_path, distances=2)
        assert not bait.exists()
        how.append("refused")


def test_fairseq_s_own_loading_runs_nothing_either(tmp_path: Path, tally: Tally) -> None:
    bait = tmp_path / "bait"
    path = hostile_checkpoint(tmp_path / "model.pt", bait)
    with tally("hostile pickle") as how:
        with pytest.raises(pickle.UnpicklingError):
            checkpoint_utils.load_checkpoint_to_cpu(str(path))
        assert not bait.exists()
        how.append("refused")


def test_every_tensor_is_loaded_as_data() -> None:
    """No command reads weights (timm's neither) in another way than by torch's weights_only loading."""
    calls = [
        node
        for folder in ("lrpe", "data_prep", "experiments")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "np.load", "torch.hub.load")
    ]
    assert calls
    for call_ in calls:
        assert "weights_only=True" in map(ast.unparse, call_.keywords), ast.unparse(call_)


REACHING = [
    "hydra.callbacks.x={_target_: os.system}",
    "+hydra.callbacks.x._target_=os.system",
    "hydra.sweeper._target_=os.system",
    "hydra.launcher._target_=os.system",
    "hydra/launcher=../../../../tmp/evil",
    "+encoding=../../../../tmp/evil",
    "encoding=../../../../tmp/evil",
    "hydra.searchpath=[file:///tmp]",
    "hydra.job.env_set.X=1",
    "model={_target_: os.system}",
    "+encoding.options._target_=os.system",
    "+encoding.options.x={y: [{_target_: os.system}]}",
    "tracker.project=${oc.env:WANDB_API_KEY}",
    "tracker.project='${oc.env:WANDB_API_KEY}'",
    "tracker.project=${oc.${encoding.label}:WANDB_API_KEY}",
    "encoding.label=../../outside",
    "+local=../../../tmp/evil",
]


@pytest.mark.parametrize("word", REACHING)
def test_an_override_reaches_no_code_and_no_environment(word: str, tally: Tally) -> None:
    with tally("reaching override") as how:
        with pytest.raises(UserError):
            compose([word])
        how.append("refused")


@pytest.mark.parametrize(
    "flag", ["--config-dir=/tmp", "-cd", "--config-path=/tmp", "-cn", "--experimental-rerun=x.pickle", "-p"]
)
def test_a_flag_reads_no_other_config(flag: str, tally: Tally) -> None:
    with tally("reaching flag") as how:
        assert flag in call("experiments.train", flag).message
        how.append("refused")


def test_nothing_of_the_data_is_unpacked_or_unpickled() -> None:
    """Archives are never opened, so no path in one can lead outside; no loader runs what it reads."""
    forbidden = {"tarfile", "pickle", "marshal", "shelve", "dill"}
    for folder in ("lrpe", "data_prep", "experiments"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not forbidden & set(names), path
                if isinstance(node, ast.Attribute):
                    assert node.attr not in ("unpack_archive", "extractall", "unsafe_load", "full_load"), path


def test_an_archive_is_no_source(tmp_path: Path) -> None:
    archive = tmp_path / "cifar.tar"
    with tarfile.open(archive, "w") as file:
        file.addfile(tarfile.TarInfo("../escaped"))
    with pytest.raises(DataError, match=r"cifar\.tar"):
        prepare("cifar10", tmp_path / "out", archive)
    assert not (tmp_path.parent / "escaped").exists()


@pytest.mark.parametrize("word", [f"tracker.project=hf_{PLANTED}", f"data.folder=s3://me:{PLANTED}@host/data"])
def test_a_secret_in_a_value_is_refused_without_being_repeated(word: str, tally: Tally) -> None:
    with tally("planted secret") as how:
        ended = call("experiments.train", word)
        assert word.partition("=")[0] in ended.message
        assert PLANTED not in ended.out + ended.err
        how.append("refused")


@pytest.mark.faults
def test_planted_secrets_reach_no_file_and_no_terminal(
    tiny_data: Path, tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "DATABASE_PASSWORD"):
        monkeypatch.setenv(name, PLANTED)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PLANTED}@proxy.invalid:1")
    results = tmp_path / "results"
    short = ["recipe.max_update=2", "recipe.warmup_updates=1", "recipe.validate_interval_updates=2"]
    words = [word for word in TINY if not word.startswith("tracker")] + short
    said = []
    with tally("planted secret", 5):
        prepare("wikitext2", results / "data", write_corpus(tmp_path / "text"), allow_other_counts=True)
        for module, own in (
            ("experiments.table", ["table=alm", "rows=none", "seeds=1", *words, "tracker=offline"]),
            ("experiments.dashboard", []),
        ):
            done = run_module(module, tiny_data, results, *own)
            said += [done.stdout, done.stderr]
        assert not [text for text in said if PLANTED in text]
        found = [path for path in results.rglob("*") if path.is_file() and PLANTED.encode() in path.read_bytes()]
        names = {path.name for path in results.rglob("*")}
        assert {"record.json", "config.yaml", "history.jsonl", "train.log", "manifest.json"} <= names
        assert not found, json.dumps([str(path) for path in found], indent=1)
