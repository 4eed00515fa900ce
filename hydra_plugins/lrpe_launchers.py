"""Launchers of this project: hydra finds plugins in packages of this name only. The work is in ``experiments.launch``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher as SubmititSlurmLauncher


class SlurmLauncher(SubmititSlurmLauncher):
    """hydra's launcher on submitit, whose refusals are one line in sbatch's own words."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from submitit.core.utils import FailedJobError

        try:
            return super().launch(job_overrides, initial_job_idx)
        except FailedJobError as error:
            print(f"error: {refusal(str(error))}", file=sys.stderr)
            raise SystemExit(2) from None
        except RuntimeError as error:
            if "srun" not in str(error):
                raise
            print("error: hydra/launcher=slurm: no srun here; start it where SLURM's commands are", file=sys.stderr)
            raise SystemExit(2) from None


def refusal(message: str) -> str:
    """What sbatch said, in one line."""
    said = [line.strip() for line in message.splitlines() if line.strip().startswith("sbatch: ")]
    return "; ".join(said) or " ".join(message.split())
