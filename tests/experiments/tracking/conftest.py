"""A fake wandb server, and the environment that leads to it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from tests.faults.wandb_server import WandbServer


@pytest.fixture
def no_wandb_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting, account or service of wandb, now and afterwards."""
    for name in [*os.environ]:
        if name.startswith(("WANDB_", "SLURM_")) or name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", "/nowhere")
    forget_settings()
    yield
    forget_settings()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, no_wandb_environment: None) -> Iterator[WandbServer]:
    made = WandbServer()
    with made.listening() as url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        monkeypatch.setenv("WANDB_INIT_TIMEOUT", "60")
        monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "60")
        yield made
        forget_settings()


def forget_settings() -> None:
    """wandb reads its environment once in a process, until it is torn down."""
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()
