"""wandb's server away, silent, faulty or refusing: training goes on and says so once, and ``experiments.runs upload``
sends what the server lacks."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from experiments.runs.__main__ import main
from experiments.runs.records import RunFolder
from tests.experiments.conftest import TINY, only_run
from tests.experiments.tracking.conftest import forget_settings, no_wandb_environment  # noqa: F401 - a fixture
from tests.experiments.tracking.support import assert_equal, run_folder
from tests.experiments.tracking.training import train
from tests.faults.counts import Tally
from tests.faults.moments import Command
from tests.faults.wandb_server import ERRORS, HANGS, REFUSES_KEY, WandbServer

ENVIRONMENT = {
    "WANDB_API_KEY": "k" * 40,
    "WANDB_INIT_TIMEOUT": "3",
    "WANDB_FINISH_TIMEOUT": "3",
}
AWAY = None
MOODS = [AWAY, HANGS, ERRORS, REFUSES_KEY]
pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("no_wandb_environment")]


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch, no_wandb_environment: None) -> None:  # noqa: F811
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def assert_uploads(folder: RunFolder, server: WandbServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One upload after the outage, and one for which nothing is left to do."""
    server.recover()
    with server.listening() as url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
        monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "60")
        forget_settings()
        words = ["upload", f"results={folder.path.parents[3]}"]
        assert main(words) == 0
        assert_equal(server, folder)
        before = server.received
        assert main(words) == 0
        assert server.received == before


@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("when", ["start", "half"])
def test_an_outage(mood: str | None, when: str, tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    server, folder = WandbServer(), run_folder(tmp_path)
    with tally(f"wandb: server {mood or 'unreachable'} from the {when} on"), ExitStack() as listening:
        monkeypatch.setenv("WANDB_BASE_URL", listening.enter_context(server.listening()))

        def outage(process: object = None) -> None:
            assert when == "start" or server.opened_once.wait(120)
            if mood is AWAY:
                listening.close()
            else:
                server.mood = mood

        if when == "start":
            outage()
        said = train(folder, outage)
        assert said.count("\n") == 1, said
        assert "upload it later with: python -m experiments.runs upload experiment=alm" in said
        assert_uploads(folder, server, monkeypatch)


def test_an_outage_that_ends_before_the_run_is_not_worth_a_word(
    tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, folder = WandbServer(), run_folder(tmp_path)
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "60")

    def short_outage(process: object) -> None:
        assert server.opened_once.wait(120)
        server.mood = ERRORS
        threading.Timer(0.5, server.recover).start()

    with tally("wandb: server failing for a moment"), server.listening() as url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
        assert train(folder, short_outage) == ""
        assert_equal(server, folder)


@pytest.mark.parametrize("mood", [AWAY, HANGS, REFUSES_KEY])
def test_whole_training_runs(
    mood: str | None, tiny_data: Path, tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = WandbServer(mood or HANGS)
    with tally(f"wandb: server {mood or 'unreachable'}, whole run"), ExitStack() as listening:
        url = listening.enter_context(server.listening())
        if mood is AWAY:
            listening.close()
        command = Command([*TINY, "tracker=wandb"], tiny_data, tmp_path)
        command.ended(command.start(None, **ENVIRONMENT, WANDB_BASE_URL=url), 0)
        folder = RunFolder(only_run(tmp_path))
        said = [line for line in command.log.read_text().splitlines() if "experiments.runs upload" in line]
        assert len(said) == 1, said
        assert (folder.path / "train.log").read_text().count("experiments.runs upload") <= 1
        server.runs.clear()
        server.recover()
        with server.listening() as url:
            monkeypatch.setenv("WANDB_BASE_URL", url)
            forget_settings()
            assert main(["upload", f"results={tmp_path}"]) == 0
        (stored,) = server.runs.values()
        assert list(stored.rows) == sorted({row["update"] for row in folder.history()})
