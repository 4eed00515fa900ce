"""The metrics of a checkpoint: perplexity, a task's accuracy and the like, as its family measures them.

    python -m experiments.evaluate run=results/runs/alm/rope-1a2b3c4d/seed1
    python -m experiments.evaluate checkpoint=model.pt split=valid context_window=400

Keys:
    run             a run's folder: its best checkpoint is scored
    checkpoint      or any checkpoint file
    split           a split of its data: train, valid, test, ...                   [test; valid for sentence tasks]
    context_window  tokens of context that every scored token has at least         [0; autoregressive models]
    data            another folder of prepared data                                [the checkpoint's]
    samples         sequences scored at once                                       [as in training]
    device          auto, cpu or cuda                                              [auto]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.arguments import parse
from experiments.errors import UserError, exit_on_user_error


@dataclass
class Arguments:
    run: str | None = None
    checkpoint: str | None = None
    split: str | None = None
    context_window: int = 0
    data: str | None = None
    samples: int | None = None
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
    from experiments.engine.families import family_of_checkpoint

    checkpoints.install()
    family = family_of_checkpoint(path)
    options: dict[str, Any] = {}
    if arguments.context_window:
        if family.name != "alm":
            raise UserError(f"context_window={arguments.context_window}: only autoregressive models have one")
        options["context_window"] = arguments.context_window
    split = arguments.split or family.splits[-1]
    found = family.score(
        path,
        split,
        data=Path(arguments.data) if arguments.data else None,
        samples=arguments.samples,
        cuda=find_place(arguments.device).cuda,
        **options,
    )
    print(f"{path}")
    print(f"{split}: {shown(found)}" + (f", context window {arguments.context_window}" if options else ""))


def shown(found: dict[str, float]) -> str:
    """Metrics as a person reads them, the losses and counts last."""
    parts = {name: f"{value:,.0f}" if name == "tokens" else f"{value:.4f}" for name, value in found.items()}
    if "perplexity" in found:
        parts["perplexity"] = f"{found['perplexity']:.2f}"
    last = ("loss", "tokens")
    names = [*(name for name in parts if name not in last), *(name for name in last if name in parts)]
    return ", ".join(f"{parts[name]} {name}" if name == "tokens" else f"{name} {parts[name]}" for name in names)


if __name__ == "__main__":
    exit_on_user_error(main)
