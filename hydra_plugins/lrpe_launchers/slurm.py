"""``hydra/launcher=slurm``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class SlurmLauncher(Launcher):
    """The launcher of hydra-submitit-launcher, whose refusals are one line in sbatch's own words."""

    def __init__(self, **parameters: object) -> None:
        try:
            from hydra_plugins.hydra_submitit_launcher import submitit_launcher
        except ImportError:
            _refuse("submitit is not installed; pip install hydra-submitit-launcher")
        self._launcher = submitit_launcher.SlurmLauncher(**parameters)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._launcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit one array and wait for it; raises SystemExit where SLURM is missing or refuses the jobs."""
        from submitit.core.utils import FailedJobError

        try:
            return self._launcher.launch(job_overrides, initial_job_idx)
        except FailedJobError as error:
            _refuse(refusal(str(error)))
        except RuntimeError as error:
            if "srun" not in str(error):
                raise
            _refuse("no srun on this machine; start the sweep where SLURM's commands are")


def refusal(message: str) -> str:
    """What sbatch said, in one line."""
    said = [line.strip() for line in message.splitlines() if line.strip().startswith("sbatch: ")]
    return "; ".join(said) or " ".join(message.split())


def _refuse(reason: str) -> NoReturn:
    print(f"error: hydra/launcher=slurm: {reason}", file=sys.stderr)
    raise SystemExit(2)
