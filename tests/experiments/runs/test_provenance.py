"""A manifest says where a run came from, and keeps secrets out."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path

import pytest

from experiments.runs import provenance as manifest
from experiments.runs.provenance import build_manifest, git_state
from experiments.util import hardware
from experiments.util.secrets import mask_command, mask_config

PLANTED = "Sup3rSecretValue0123456789"


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_planted_secrets_appear_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "DATABASE_PASSWORD"):
        monkeypatch.setenv(name, PLANTED)
    argv = [
        "train.py",
        f"tracker.api_key={PLANTED}",
        f"+hub.token={PLANTED},{PLANTED}",
        f"--password={PLANTED}",
        "--api-key",
        PLANTED,
        f"tracker={{mode: auto, api_key: '{PLANTED}'}}",
        f"url=https://user:{PLANTED}@example.org/x?token={PLANTED}",
        f"note=hf_{PLANTED}",
    ]
    data = {"name": "pydoc", "identity": "ab", "files": {}, "source": {"kind": "hub", "token": PLANTED}}
    text = json.dumps(build_manifest({"data": {"name": "pydoc"}}, data, argv))
    assert PLANTED not in text
    assert "tracker.api_key=***" in text


def test_words_that_only_look_like_secrets_stay() -> None:
    argv = [
        "recipe.tokens_per_sample=512",
        "model.key_dim=4",
        "animal=monkey",
        "encoding=rope",
        "monkey=5",
        "--tokens",
        "3",
    ]
    assert mask_command(argv) == argv


def test_config_for_a_tracker_is_masked_by_name() -> None:
    config = {"tracker": {"api_key": "abc", "entity": None}, "recipe": {"tokens_per_sample": 512}, "key": None}
    assert mask_config(config) == {
        "tracker": {"api_key": "***", "entity": None},
        "recipe": {"tokens_per_sample": 512},
        "key": None,
    }


def test_environment_is_an_allow_list(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name in manifest.ENVIRONMENT:
            monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SOMETHING_ELSE", "x")
    assert build_manifest({}, None, [])["environment"] == {"SLURM_JOB_ID": "77"}


def test_git_commit_and_dirty_flag(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("1")
    assert git_state(tmp_path) == {"commit": None, "dirty": True}
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "a")
    assert git_state(tmp_path) == {"commit": git(tmp_path, "rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "new.py").write_text("2")
    assert git_state(tmp_path)["dirty"] is True


def test_outside_git_and_below_a_strange_checkout_there_is_no_commit(tmp_path: Path) -> None:
    nothing = {"commit": None, "dirty": None}
    assert git_state(tmp_path) == nothing
    git(tmp_path, "init", "-q")
    (tmp_path / "site-packages").mkdir()
    assert git_state(tmp_path / "site-packages") == nothing


def test_data_identity_and_checksums_are_carried() -> None:
    files = {"train.bin": {"bytes": 3, "sha256": "00"}}
    data = {"name": "pydoc", "identity": "abcd", "files": files, "source": {"kind": "embedded"}, "tokens": {"train": 1}}
    built = build_manifest({"data": {"name": "pydoc"}}, data, ["x"])
    assert built["data"] == {"name": "pydoc", "identity": "abcd", "files": files, "source": {"kind": "embedded"}}
    assert build_manifest({"data": {"name": "pydoc"}}, None, [])["data"]["identity"] is None


def test_machine_and_versions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "nvidia-smi"
    fake.write_text("#!/bin/sh\necho 'NVIDIA H200'\necho 'NVIDIA H200'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    built = build_manifest({}, None, [])
    assert built["hardware"]["gpus"] == ["NVIDIA H200", "NVIDIA H200"]
    assert built["hardware"]["cores"] >= 1
    assert built["hardware"]["memory_bytes"] > 2**28
    assert built["python"] == platform.python_version()
    assert {"torch", "numpy", "wandb", "hydra-core"} <= set(built["packages"])
    assert built["created"].endswith("+00:00")


def test_a_machine_without_a_gpu_tool_has_no_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hardware.gpu_names() == []
    assert git_state(tmp_path) == {"commit": None, "dirty": None}
