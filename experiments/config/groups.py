"""The groups of ``conf/``, and the config that a choice in each of them makes: all that is asked of hydra here."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import DictConfig

CONF = Path(__file__).resolve().parents[2] / "conf"
LAUNCHER = "hydra/launcher"


def groups() -> list[str]:
    return sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")


def options_of(group: str) -> list[str]:
    """What can be chosen in a group; of launchers, those that plugins bring too."""
    if group != LAUNCHER:
        return sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    with _hydra() as hydra:
        return hydra.config_loader().get_group_options(group, ObjectType.CONFIG)


def config_of(*choices: str, launcher: bool = False) -> DictConfig:
    """The config that choices such as ``encoding=rope`` make, in struct mode, interpolations as they are; the caller's
    own. hydra composes the same choices once.

    Args:
        launcher: with hydra's own section.

    Raises:
        HydraException, OmegaConfBaseException: a choice that there is not.
    """
    return copy.deepcopy(_compose(choices, launcher))


@lru_cache(256)  # the rows and columns of a table; a config is some hundred kB
def _compose(choices: tuple[str, ...], launcher: bool) -> DictConfig:
    with _hydra():
        return compose("train", overrides=list(choices), return_hydra_config=launcher)


@contextmanager
def _hydra() -> Iterator[Any]:
    """Hydra's loader over ``conf/``, also inside a running hydra job, whose own state is put back afterwards."""
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            yield GlobalHydra.instance()
    finally:
        GlobalHydra.instance().hydra = outer
