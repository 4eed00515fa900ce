"""The settings of jobs: ``conf/hydra/launcher/slurm.yaml``, a site's own, and words of a command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.config.compose import apply, first_line, parse
from experiments.config.groups import LAUNCHER, config_of
from experiments.launch.sweep import register_resolvers
from experiments.util.errors import UserError, nearest

PREFIX = "hydra.launcher."
OPEN = f"{PREFIX}additional_parameters"  # any option of sbatch's
SWEEPS = ("wait",)  # tables and studies have wait=
GROUPS = ("experiment", "profile")  # which decide what a job asks for


def slurm_settings(overrides: Sequence[str], words: Sequence[str]) -> dict[str, Any]:
    """The settings for runs with these overrides, as ``hydra.launcher.KEY=VALUE`` words change them.

    Raises:
        UserError: a key that there is not, or a value that cannot be read.
    """
    register_resolvers()
    chosen = [word for word in overrides if word.partition("=")[0] in GROUPS]
    try:
        config = config_of(*chosen, f"{LAUNCHER}=slurm", launcher=True)
        for override in parse(words):
            _check_key(override.key_or_group, [f"{PREFIX}{key}" for key in config.hydra.launcher])
        for override in parse([f"++{word.lstrip('+')}" for word in words]):
            apply(override, config)
        return OmegaConf.to_container(config.hydra.launcher, resolve=True)  # type: ignore[return-value]
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(first_line(error)) from None


def _check_key(key: str, known: Sequence[str]) -> None:
    if key.removeprefix(PREFIX) in SWEEPS:
        raise UserError(f"'{key}' has no effect here: it is for sweeps (python -m experiments.train -m)")
    if key not in known and not key.startswith(f"{OPEN}."):
        raise UserError(f"unknown key '{key}'{nearest(key, known)} (all: conf/hydra/launcher/slurm.yaml)")
