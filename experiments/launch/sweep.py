"""What sweeps add to single runs: how many at once, waiting for those that other processes train, and a summary."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from experiments.launch.command import own_words
from experiments.runs.locks import InUse
from experiments.runs.records import RunFolder
from experiments.util.files import write_atomically
from experiments.util.hardware import available_cores, gpu_names

LOGGER = logging.getLogger(__name__)
FAILURE, ELSEWHERE = "failed.json", "elsewhere.json"
JOB_FOLDER = "LRPE_SWEEP_JOB"  # set for a run that the launcher `parallel` starts: its folder in the sweep's
RESOURCES: dict[str, dict[str, int | None]] = {
    "demo": {"gpus": None, "cores": 2, "memory_gb": 4},
    "laptop": {"gpus": None, "cores": 1, "memory_gb": 4},
    "small": {"gpus": 1, "cores": 8, "memory_gb": 32},
    "paper": {"gpus": 1, "cores": 8, "memory_gb": 64},
}
THREADS_PER_RUN = 4  # small models gain little from more


def register_resolvers() -> None:
    """``${workers:}`` and ``${slurm_resource:profile,name}`` in ``conf/hydra/launcher/``."""
    OmegaConf.register_new_resolver("workers", workers, replace=True)
    OmegaConf.register_new_resolver("slurm_resource", slurm_resource, replace=True)


def slurm_resource(profile: str, name: str) -> int | None:
    """What a job of a profile asks SLURM for: ``gpus``, ``cores`` or ``memory_gb``; a profile of one's own has the
    paper's."""
    return RESOURCES.get(profile, RESOURCES["paper"])[name]


def workers() -> int:
    """Runs at once that fit this machine: its cores by fours but two at least, which share them; one on a GPU."""
    cores = available_cores()
    return 1 if cores == 1 or gpu_names() else max(2, cores // THREADS_PER_RUN)


def in_sweep() -> bool:
    return JOB_FOLDER in os.environ or (HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN)


def note_failure(code: int, message: str) -> None:
    """Leave word in the job's folder, which the sweep's own process reads at the end, whichever launcher ran it."""
    _note(FAILURE, code=code, message=message)


def note_elsewhere(error: InUse) -> None:
    """Leave word that another process trains the job's run, and say so."""
    LOGGER.info("%s is in use by %s; the sweep goes on, and waits for it at its end", error.path, error.by)
    _note(ELSEWHERE, code=2, message=f"{error.by} left it unfinished", folder=str(error.path))


def note_failed(job: Path, code: int, message: str, overrides: Sequence[str]) -> None:
    """Leave word for a run that cannot do so: ``job`` is its folder in the sweep's."""
    write_atomically(job / FAILURE, json.dumps({"code": code, "message": message, "overrides": list(overrides)}))


def _note(name: str, **content: Any) -> None:
    folder = os.environ.get(JOB_FOLDER) or HydraConfig.get().runtime.output_dir
    write_atomically(Path(folder) / name, json.dumps({**content, "overrides": own_words()}))


class Summary(Callback):
    """At the end of a sweep: wait for the runs that other processes train, then say which failed and why; exit code 1
    where one did."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        left = [note for note in _notes(folder, ELSEWHERE) if not _finished_elsewhere(Path(note["folder"]))]
        failures = [*_notes(folder, FAILURE), *left]
        if not failures:
            return
        lines = [f"{len(failures)} runs of this sweep failed; the same command retries them:"]
        for failure in failures:
            reason = failure["message"].removeprefix("error: ") or f"exit code {failure['code']}"
            own = [word for word in failure["overrides"] if word not in config.hydra.overrides.task]
            lines.append(f"  {' '.join(own)}: {reason}")
        LOGGER.error("\n".join(lines))
        raise SystemExit(1)


def _notes(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob(f"*/{name}"))]


def _finished_elsewhere(folder: Path) -> bool:
    """Wait until nobody trains the run; whether it is finished then."""
    run = RunFolder(folder)
    with run.lock(wait=True):
        return run.finished() is not None
