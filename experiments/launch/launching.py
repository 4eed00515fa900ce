"""Where a table or a study trains: ``launcher=``, ``jobs=``, ``wait=`` and ``hydra.launcher.KEY=`` on its command
line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.config.groups import LAUNCHER
from experiments.util.errors import UserError, nearest

KEYS = ("launcher", "jobs", "wait")
LAUNCHERS = ("local", "slurm")
SETTING = "hydra.launcher."


@dataclass(frozen=True)
class Launching:
    """``jobs`` is None where it was not given; ``settings`` are words for ``conf/hydra/launcher/slurm.yaml``."""

    launcher: str = "local"
    jobs: int | None = None
    wait: bool = True
    settings: tuple[str, ...] = ()

    @property
    def on_slurm(self) -> bool:
        return self.launcher == "slurm"


def is_launcher_word(word: str) -> bool:
    """Whether it is a setting of a launcher.

    Raises:
        UserError: it chooses a launcher in the way of sweeps.
    """
    key, _, value = word.lstrip("+~").partition("=")
    if key == LAUNCHER:
        raise UserError(f"'{word}': a table or a study takes launcher={value} ({' or '.join(LAUNCHERS)})")
    return key.startswith(SETTING)


def parse_launching(given: Mapping[str, str], settings: Sequence[str], jobs: int | None, wait: bool) -> Launching:
    """Check that every word has an effect.

    Raises:
        UserError: a launcher that is none, or a word that it takes no notice of.
    """
    launcher = given.get("launcher", "local")
    if launcher not in LAUNCHERS:
        raise UserError(f"launcher={launcher}: unknown{nearest(launcher, LAUNCHERS)} (choices: {', '.join(LAUNCHERS)})")
    if launcher != "slurm":
        idle = [*settings, *([f"wait={given['wait']}"] if "wait" in given else [])]
        if idle:
            raise UserError(f"'{idle[0]}' has no effect without launcher=slurm")
    return Launching(launcher, jobs, wait, tuple(settings))
