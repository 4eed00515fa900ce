"""The settings of jobs: ``conf/hydra/launcher/slurm.yaml``, a site's own, and words of a command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.config.compose import CONF
from experiments.config.overrides import LAUNCHER, refuse_reaching, unreadable
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
        for word in OverridesParser.create().parse_overrides(list(words)):
            refuse_reaching(word)
        with initialize_config_dir(str(CONF), version_base="1.3"):
            known = _compose([*chosen, f"{LAUNCHER}=slurm"])
            for word in words:
                _check_key(word.lstrip("+~").partition("=")[0], [f"{PREFIX}{key}" for key in known])
            return _compose([*chosen, f"{LAUNCHER}=slurm", *(f"++{word.lstrip('+')}" for word in words)])
    except OverrideParseException as error:
        raise UserError(unreadable(error.override or "")) from None
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(str(error).strip().splitlines()[0]) from None


def _compose(overrides: list[str]) -> dict[str, Any]:
    config = compose("train", overrides=overrides, return_hydra_config=True)
    return OmegaConf.to_container(config.hydra.launcher, resolve=True)  # type: ignore[return-value]


def _check_key(key: str, known: Sequence[str]) -> None:
    if key.removeprefix(PREFIX) in SWEEPS:
        raise UserError(f"'{key}' has no effect here: it is for sweeps (python -m experiments.train -m)")
    if key not in known and not key.startswith(f"{OPEN}."):
        raise UserError(f"unknown key '{key}'{nearest(key, known)} (all: conf/hydra/launcher/slurm.yaml)")
