"""Train one run, or a sweep of them.

    python -m experiments.train experiment=alm encoding=lrpe_unitary seed=1
    python -m experiments.train -m 'encoding=glob(lrpe_*)' seed=1,2,3 hydra/launcher=joblib
    python -m experiments.train experiment=glue task=all
    torchrun --nproc-per-node 8 -m experiments.train profile=paper

A finished run is not done again; a broken one resumes from its last checkpoint.
"""

from __future__ import annotations

import os
import sys

import hydra
from omegaconf import DictConfig

from data_prep.sentence_tasks.catalogue import GLUE
from experiments.config import check_overrides, run_directory, validate
from experiments.config.compose import CONF
from experiments.errors import UserError
from experiments.records import RunFolder, shown_metrics


def run(config: DictConfig) -> int:
    """Train the run that ``config`` names, unless it is finished; returns the exit code.

    Raises:
        UserError: anything in the config, the data or the checkpoints that a person has to mend.
    """
    config = validate(config)
    folder = run_directory(config)
    record = RunFolder(folder).load()
    if record is not None and record.finished:
        if int(os.environ.get("RANK", "0")) == 0:
            found = shown_metrics(record["metrics"])
            print(f"{folder}: finished before ({found}); nothing to do. Remove the folder to train it anew.")
        return 0
    from experiments.session import train_run  # torch and fairseq: bad input never waits for their import

    return train_run(config, folder)


def every_task(word: str) -> str:
    """``task=all`` as the sweep over GLUE's tasks that it stands for; any other word as it is."""
    return f"task={','.join(GLUE)}" if word == "task=all" else word


@hydra.main(config_path=str(CONF), config_name="train", version_base="1.3")
def _hydra_main(config: DictConfig) -> None:
    try:
        code = run(config)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    if code:
        raise SystemExit(code)


def main() -> None:
    os.environ.setdefault("HYDRA_FULL_ERROR", "0")
    arguments = sys.argv[1:]
    try:
        if "--help" not in arguments and "--hydra-help" not in arguments:
            words = [word for word in arguments if (not word.startswith("-") and "=" in word) or word[:1] in "~+"]
            check_overrides([every_task(word) for word in words])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    # hydra's parser takes -m before the overrides only; a person may write it anywhere
    sweep = [word for word in arguments if word in ("-m", "--multirun")]
    overrides = [every_task(word) for word in arguments if word not in sweep]
    if not sweep and "task=all" in arguments:
        sweep = ["-m"]
    sys.argv[1:] = [*sweep, *overrides]
    _hydra_main()


if __name__ == "__main__":
    main()
