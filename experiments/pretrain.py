"""Train the run that a fine-tuning starts from, and no more: a cluster gives it a job of its own.

    python -m experiments.pretrain experiment=glue task=cola encoding=rope seed=1

The words are the fine-tuning's, as for experiments.train, which does the same first where the run is missing.
"""

from __future__ import annotations

from experiments.launch.early_signals import exit_on_signals

if __name__ == "__main__":
    exit_on_signals()  # before the imports that take seconds

import sys
from collections.abc import Sequence

from experiments.config import compose, ensure_data
from experiments.util.errors import UserError, exit_on_user_error


def main(words: Sequence[str]) -> int:
    """The whole command; returns the exit code.

    Raises:
        UserError: bad input, or a run that starts from no other.
    """
    if any(word in ("-h", "--help", "help") for word in words):
        print((__doc__ or "").strip())
        return 0
    config = compose(list(words))
    ensure_data(config)
    from experiments.engine.families import family_of  # torch and fairseq: bad input never waits for their import
    from experiments.engine.session import train_requirements

    if not family_of(config).requirements(config):
        raise UserError(f"experiment={config.experiment.name}: this run starts from no other; use experiments.train")
    return train_requirements(config)


if __name__ == "__main__":
    exit_on_user_error(lambda: main(sys.argv[1:]))
