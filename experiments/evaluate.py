"""Perplexity of a checkpoint.

    python -m experiments.evaluate run=results/runs/alm/rope-1a2b3c4d/seed1
    python -m experiments.evaluate checkpoint=model.pt split=valid context_window=400

Keys:
    run             a run's folder: its best checkpoint is scored
    checkpoint      or any checkpoint file
    split           train, valid or test                                          [test]
    context_window  tokens of context that every scored token has at least         [0]
    data            another folder of prepared data                                [the checkpoint's]
    sequences       blocks scored at once                                          [as in training]
    device          auto, cpu or cuda                                              [auto]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from experiments.arguments import parse
from experiments.errors import UserError, exit_on_user_error


@dataclass
class Arguments:
    run: str | None = None
    checkpoint: str | None = None
    split: str = "test"
    context_window: int = 0
    data: str | None = None
    sequences: int | None = None
    device: str = "auto"


def checkpoint_path(run: str | None, checkpoint: str | None) -> Path:
    """The file meant by ``run=`` or ``checkpoint=``.

    Raises:
        UserError: neither or both were given.
    """
    if (run is None) == (checkpoint is None):
        raise UserError("give either run=<run folder> or checkpoint=<file.pt>")
    return Path(checkpoint) if checkpoint else Path(run or "") / "checkpoints" / "checkpoint_best.pt"


def main() -> None:
    arguments = parse(Arguments, sys.argv[1:], __doc__ or "")
    path = checkpoint_path(arguments.run, arguments.checkpoint)
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    from experiments.engine import checkpoints
    from experiments.engine.device import find_place
    from experiments.engine.families.alm.evaluation import evaluate

    checkpoints.install()
    score = evaluate(
        path,
        arguments.split,
        data=Path(arguments.data) if arguments.data else None,
        context_window=arguments.context_window,
        sequences=arguments.sequences,
        cuda=find_place(arguments.device).cuda,
    )
    print(f"{path}")
    print(
        f"{arguments.split}: perplexity {score.perplexity:.2f}, loss {score.loss:.4f} nats a token, "
        f"{score.tokens:,} tokens, context window {arguments.context_window}"
    )


if __name__ == "__main__":
    exit_on_user_error(main)
