"""The command that repeats a run, for its record."""

from __future__ import annotations

import sys

from hydra.core.hydra_config import HydraConfig


def own_words() -> list[str]:
    """This run's own overrides: of one run of a sweep its own values, and nothing of the launcher, whose jobs have
    command lines that mean nothing afterwards; else this process's words."""
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else sys.argv[1:]


def repeatable_command() -> list[str]:
    """The module that was started, ``python -m experiments.train`` in a sweep, with :func:`own_words`; outside of both,
    the script that was."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    module = "experiments.train" if HydraConfig.initialized() else getattr(spec, "name", None)
    return [*(["python", "-m", module] if module else sys.argv[:1]), *own_words()]
