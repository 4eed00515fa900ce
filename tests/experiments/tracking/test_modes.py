"""Whether a run is followed, and what keeps it from starting."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.runs.records import RunFolder
from experiments.tracking import tracker as module
from experiments.tracking.setup import has_credentials, import_wandb
from experiments.tracking.tracker import Tracker
from experiments.util.errors import UserError
from tests.experiments.conftest import ROOT
from tests.experiments.tracking.support import run_folder

KEY = "k" * 40
pytestmark = pytest.mark.usefixtures("no_wandb_environment")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return run_folder(tmp_path)


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> list[RunFolder]:
    """The runs that a process would have been started for."""
    started: list[RunFolder] = []
    monkeypatch.setattr(module, "_follow", started.append)
    monkeypatch.setattr(module, "_check", lambda process, seconds: None)
    return started


@pytest.mark.parametrize(
    ("mode", "environment", "online"),
    [
        ("auto", {}, True),
        ("auto", {"WANDB_MODE": "offline"}, False),
        ("auto", {"WANDB_MODE": "disabled"}, False),
        ("wandb", {"WANDB_MODE": "offline"}, True),
        ("offline", {"WANDB_MODE": "online"}, False),
        ("disabled", {}, False),
        ("auto", {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}, False),
    ],
)
def test_who_is_followed(
    mode: str,
    environment: dict[str, str],
    online: bool,
    followed: list[RunFolder],
    folder: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    Tracker.start(mode, folder)
    assert followed == ([folder] if online else [])


def test_offline_says_how_to_upload(folder: RunFolder, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), Tracker.start("offline", folder):
        pass
    (said,) = caplog.messages
    assert said.startswith("tracking offline; upload it later with: python -m experiments.runs upload experiment=alm")
    assert "encoding=rope seed=2 results=" in said


def test_bad_modes_are_one_message(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="did you mean 'offline'"):
        Tracker.start("ofline", folder)
    monkeypatch.setenv("WANDB_MODE", "onlin")
    with pytest.raises(UserError, match=r"WANDB_MODE=onlin.*did you mean 'online'"):
        Tracker.start("auto", folder)


def test_without_credentials_online_is_refused_and_auto_is_silent(
    folder: RunFolder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "120")
    with pytest.raises(UserError, match=r"tracker=wandb: this needs an account on wandb: run  wandb login "):
        Tracker.start("wandb", folder)
    with Tracker.start("auto", folder):
        pass
    assert caplog.messages == []


@pytest.mark.parametrize("value", ["soon", "0", "-1", "inf", "nan"])
def test_a_time_limit_that_is_none_is_refused(value: str, folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", value)
    with pytest.raises(UserError, match=f"WANDB_FINISH_TIMEOUT={value}: expected a number of seconds above 0"):
        Tracker.start("auto", folder)


def test_settings_that_wandb_refuses_are_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "nonsense")
    with pytest.raises(UserError, match=r"^WANDB_BASE_URL: "):
        import_wandb()


def test_credentials_in_netrc_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "https://api.wandb.ai")
    wandb = import_wandb()
    assert not has_credentials(wandb)
    (tmp_path / "netrc").write_text(f"machine api.wandb.ai login user password {KEY}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert has_credentials(wandb)


def test_training_never_imports_wandb(folder: RunFolder) -> None:
    code = (
        "import sys; from experiments.runs.records import RunFolder; from experiments.tracking.tracker import Tracker\n"
        "for mode in ('disabled', 'offline', 'auto'): Tracker.start(mode, RunFolder(sys.argv[1]))\n"
        "print('wandb' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder.path],
        cwd=ROOT,
        env={**os.environ},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"


def test_no_private_part_of_wandb_is_used(root: Path) -> None:
    for path in (*root.glob("experiments/**/*.py"), *root.glob("tests/**/*.py")):
        if path.name != Path(__file__).name:
            text = path.read_text(encoding="utf-8")
            assert "wandb" + ".sdk" not in text, path
            assert "wandb" + ".proto" not in text, path
