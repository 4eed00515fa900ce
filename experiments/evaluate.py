"""The metrics of a checkpoint: perplexity, a task's accuracy and the like, as its family measures them.

    python -m experiments.evaluate run=results/runs/alm/rope-1a2b3c4d/seed1
    python -m experiments.evaluate checkpoint=model.pt split=valid context_window=400
    python -m experiments.evaluate run=results/runs/imagenet/rope-1a2b3c4d/seed1 images=DIR image_size=384

Keys:
    run             a run's folder: its best checkpoint is scored
    checkpoint      or any checkpoint file
    split           a split of its data: train, valid, test, ...       [test; valid for sentence tasks and images]
    context_window  tokens of context that every scored token has at least         [0; autoregressive models]
    images          a folder <class>/<image> instead of prepared data              [image classifiers]
    image_size      pixels, any multiple of the patch size                         [as in training; image classifiers]
    data            another folder of prepared data                                [the checkpoint's]
    samples         sequences or images at once                                    [as in training]
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
    images: str | None = None
    image_size: int | None = None
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
    from experiments.engine.run import quiet

    quiet()
    checkpoints.install()
    family = family_of_checkpoint(path)
    options = own_options(family.name, arguments)
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
    given = "".join(f", {name.replace('_', ' ')} {value}" for name, value in options.items() if name != "images")
    print(f"{arguments.images or split}: {shown(found)}{given}")


def own_options(family: str, arguments: Arguments) -> dict[str, Any]:
    """What only one family's checkpoints can be asked.

    Raises:
        UserError: another family's checkpoint is asked.
    """
    owners = {"context_window": "alm", "images": "imagenet", "image_size": "imagenet"}
    given = {name: value for name in owners if (value := getattr(arguments, name))}
    for name, value in given.items():
        if owners[name] != family:
            raise UserError(f"{name}={value}: only checkpoints of experiment={owners[name]} have one, not {family}'s")
    return given


def shown(found: dict[str, float]) -> str:
    """Metrics as a person reads them, the losses and counts last."""
    counts = ("tokens", "images")
    parts = {name: f"{value:,.0f}" if name in counts else f"{value:.4f}" for name, value in found.items()}
    if "perplexity" in found:
        parts["perplexity"] = f"{found['perplexity']:.2f}"
    last = ("loss", *counts)
    names = [*(name for name in parts if name not in last), *(name for name in last if name in parts)]
    return ", ".join(f"{parts[name]} {name}" if name in counts else f"{name} {parts[name]}" for name in names)


if __name__ == "__main__":
    exit_on_user_error(main)
