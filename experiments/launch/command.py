"""The command that makes a run once more, for its record."""

from __future__ import annotations

import sys

from hydra.core.hydra_config import HydraConfig


def repeatable_command() -> list[str]:
    """``python -m experiments.train`` with this run's own overrides: of one run of a sweep its own values, and nothing
    of the launcher, whose jobs have command lines that mean nothing afterwards. Without hydra, the module that was
    started and its words; outside of both, this process's words."""
    if HydraConfig.initialized():
        return ["python", "-m", "experiments.train", *HydraConfig.get().overrides.task]
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return ["python", "-m", spec.name, *sys.argv[1:]] if spec is not None else list(sys.argv)
