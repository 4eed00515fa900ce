"""``hydra/launcher=slurm``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class SlurmLauncher(Launcher):
    """Runs as jobs of one SLURM array; ``parameters`` are those of ``conf/hydra/launcher/slurm.yaml``."""

    def __init__(self, **parameters: object) -> None:
        self.parameters = {
            key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for key, value in parameters.items()
        }

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit what is missing and wait; raises SystemExit where SLURM refuses or a signal ends the waiting."""
        from experiments.launch.slurm.sweep import run_all
        from experiments.util.errors import UserError

        sweep = Path(str(self.config.hydra.sweep.dir))
        words = [[word for word in job if not word.startswith(("hydra.", "hydra/"))] for job in job_overrides]
        jobs = [(sweep / str(initial_job_idx + place), job) for place, job in enumerate(words)]
        try:
            run_all(jobs, self.config.hydra.overrides.task, Path(str(self.config.paths.results)), self.parameters)
        except UserError as error:
            print(f"error: hydra/launcher=slurm: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        # a run that failed has left word of it in its folder, which the sweep's summary reads
        return [JobReturn(overrides=job, status=JobStatus.COMPLETED) for job in words]
