"""Train one run, or a sweep of them.

    python -m experiments.train experiment=alm encoding=lrpe_unitary seed=1
    python -m experiments.train -m 'encoding=glob(lrpe_*)' seed=1,2,3 hydra/launcher=parallel
    python -m experiments.train experiment=glue task=all
    torchrun --nproc-per-node 8 -m experiments.train profile=paper

A finished run is not done again; a broken one resumes from its last checkpoint. So a sweep that died is started again
with the same line; a run that fails does not keep the others of a sweep from running, and one that another process
trains is left to it and waited for at the sweep's end.
"""

from __future__ import annotations

from experiments.launch.early_signals import exit_on_signals, leave

if __name__ == "__main__":
    exit_on_signals()  # before the imports that take seconds

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from data_prep.sentence_tasks.catalog import GLUE
from experiments.config import check_overrides, compose, compose_row, ensure_data, run_directory
from experiments.config.groups import CONF
from experiments.config.overrides import expand_home, split_flags
from experiments.launch import submitit_jobs, sweep
from experiments.launch.exit_codes import was_stopped
from experiments.launch.ranks import read_ranks
from experiments.runs.locks import InUse
from experiments.runs.records import RunFolder, shown_metrics
from experiments.runs.shorter import note
from experiments.tracking.names import check_environment
from experiments.util import log
from experiments.util.console import print_with_replacement
from experiments.util.errors import UserError

LOGGER = logging.getLogger("experiments.train")


def run(config: DictConfig) -> int:
    """Train the run of a checked config, unless it is finished; returns the exit code.

    Raises:
        UserError: anything in the config, the data or the checkpoints that is user-fixable.
    """
    if config.tracker.mode != "disabled":
        check_environment()
    ensure_data(config)
    folder = run_directory(config)
    record = RunFolder(folder).load()
    if record is not None and record.finished:
        if read_ranks().rank == 0:
            found = shown_metrics(record["metrics"])
            print(f"{folder}: finished before ({found}); nothing to do. Remove the folder to train it anew.")
        return 0
    if record is None and read_ranks().rank == 0:
        plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
        if text := note(folder, plain):
            print(text, flush=True)
    from experiments.engine.session import train_run  # torch and fairseq: bad input never waits for their import

    return train_run(config, folder)


def every_task(word: str) -> str:
    """``task=all`` as the sweep over GLUE's tasks that it stands for; any other word as it is."""
    return f"task={','.join(GLUE)}" if word == "task=all" else word


def open_key(word: str) -> str:
    """``hydra.launcher.additional_parameters`` takes any of sbatch's options, for which hydra wants a ``++``."""
    return f"++{word}" if word.startswith("hydra.launcher.additional_parameters") else word


def train_one(read: Callable[[], DictConfig]) -> None:
    """Train the run whose config ``read`` returns; raises SystemExit where it fails, or in a sweep notes that.

    The other runs of a sweep go on after a failure, and not after a signal.
    """
    log.set_up()  # a process that a launcher started has not been through main()
    message = ""
    if submitit_jobs.in_job():
        submitit_jobs.take_signals()
    try:
        code = run(read())
    except UserError as error:
        if isinstance(error, InUse) and sweep.in_sweep():
            sweep.note_elsewhere(error)
            return
        code, message = 2, f"error: {error}"
        print(message, file=sys.stderr)
    except Exception as error:
        if not sweep.in_sweep():
            raise
        code, message = 1, f"{type(error).__name__}: {error}"
        traceback.print_exc()
    if code and sweep.in_sweep() and not was_stopped(code):
        sweep.note_failure(code, message)
    elif code:
        raise SystemExit(code)


def one_of_several(words: list[str]) -> DictConfig:
    """The config of a run that shares words with others, of which each reads some; the rest is said."""
    config, idle = compose_row(words)
    if read_ranks().rank == 0:
        for key, reason in idle.items():
            LOGGER.info("'%s' has no effect in this run: %s", key, reason)
    return config


@hydra.main(config_path=str(CONF), config_name="train", version_base="1.3")
def _run_of_sweep(_: DictConfig) -> None:
    train_one(lambda: one_of_several(list(HydraConfig.get().overrides.task)))


def _sweep() -> None:
    """What hydra does with this process's words: a sweep, or ``--cfg`` and the like."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "0")
    sweep.register_resolvers()
    if signal.getsignal(signal.SIGINT) is leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a launcher may wait, and says what Ctrl-C stopped
    try:
        _run_of_sweep()
    except KeyboardInterrupt:  # reaches here where a launcher waited for its workers
        LOGGER.info("stopped; the same command goes on from the last checkpoints")
        raise SystemExit(130) from None


def main() -> None:
    print_with_replacement()
    log.set_up()
    try:
        # hydra's parser takes -m before the overrides only; a person may write it anywhere
        flags, words = split_flags(sys.argv[1:])
        overrides = [open_key(every_task(expand_home(word))) for word in words]
        if not flags and any(every_task(word) != word for word in words):
            flags = ["-m"]
        sys.argv[1:] = [*flags, *overrides]
        if flags:
            check_overrides(overrides, sweeping="-m" in flags or "--multirun" in flags)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if flags:
        _sweep()
    elif sweep.JOB_FOLDER in os.environ:
        train_one(lambda: one_of_several(overrides))
    else:
        train_one(lambda: compose(overrides))


if __name__ == "__main__":
    main()
