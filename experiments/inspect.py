"""Look at what an image classifier does: images with predictions, errors, and where the model looks.

    python -m experiments.inspect run=results/runs/imagenet/rope-1a2b3c4d/seed1
    python -m experiments.inspect run=RUN images=DIR show=all count=12 out=predictions.png

Keys:
    run             a run's folder: its best checkpoint is used; or a folder of experiments.export
    checkpoint      or any checkpoint file
    split           train, valid or test                       [test; valid where images have no test]
    data            another folder of prepared data                               [the checkpoint's]
    images          a folder of images instead, with or without folders of classes
    image_size      pixels, any multiple of the patch size                          [as in training]
    show            errors (the surest first) or all (in the images' order)                 [errors]
    count           images in the picture                                                       [24]
    layer           whose attention is shown: 0 is the first, -1 the last                       [-1]
    out             the picture                         [<run>/predictions.png, or predictions.png]
    device          auto, cpu or cuda                                                         [auto]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from experiments.engine.families.imagenet.prediction_grid import draw_predictions
from experiments.runs.checkpoint import checkpoint_path
from experiments.util.arguments import parse
from experiments.util.errors import UserError, exit_on_user_error, nearest

SHOWN = ("errors", "all")


@dataclass
class Arguments:
    run: str | None = None
    checkpoint: str | None = None
    split: str | None = None
    data: str | None = None
    images: str | None = None
    image_size: int | None = None
    show: str = "errors"
    count: int = 24
    layer: int = -1
    out: str | None = None
    device: str = "auto"


def main() -> None:
    arguments = parse(Arguments, sys.argv[1:], __doc__ or "")
    if arguments.show not in SHOWN:
        raise UserError(f"show={arguments.show}: expected errors or all{nearest(arguments.show, SHOWN)}")
    if arguments.count < 1:
        raise UserError(f"count={arguments.count}: expected at least 1")
    path = checkpoint_path(arguments.run, arguments.checkpoint)
    from experiments.engine import checkpoints
    from experiments.engine.distributed import find_context
    from experiments.engine.families.imagenet.inspection import inspect

    checkpoints.install()
    found = inspect(
        path,
        arguments.split,
        data=Path(arguments.data) if arguments.data else None,
        images=Path(arguments.images) if arguments.images else None,
        image_size=arguments.image_size,
        errors=arguments.show == "errors",
        count=arguments.count,
        layer=arguments.layer,
        cuda=find_context(arguments.device).cuda,
    )
    out = Path(arguments.out or Path(arguments.run or "") / "predictions.png")
    if not found.shown:
        print(f"{found.images:,} images, none of them wrong: nothing to show (show=all shows them)")
        return
    draw_predictions(found.shown, out)
    print(f"{found.summary()}\n{out}")


if __name__ == "__main__":
    exit_on_user_error(main)
