"""``hydra/launcher=parallel``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ParallelLauncher(Launcher):
    """Runs in processes of their own, ``n_jobs`` at once."""

    def __init__(self, n_jobs: int) -> None:
        self.n_jobs = n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train them all; raises SystemExit where a signal ended the sweep."""
        from experiments.launch.parallel import run_all

        sweep = Path(str(self.config.hydra.sweep.dir))
        words = [[word for word in job if not word.startswith(("hydra.", "hydra/"))] for job in job_overrides]
        run_all([(sweep / str(initial_job_idx + place), job) for place, job in enumerate(words)], self.n_jobs)
        # a run that failed has left word of it in its folder, which the sweep's summary reads
        return [JobReturn(overrides=job, status=JobStatus.COMPLETED) for job in words]
