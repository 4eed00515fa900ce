"""Score a checkpoint: the perplexity of a language model, or the accuracy of an image classifier.

    python -m experiments.evaluate run=results/runs/alm/rope-1a2b3c4d/seed1
    python -m experiments.evaluate checkpoint=model.pt split=valid context_window=400
    python -m experiments.evaluate run=results/runs/imagenet/rope-1a2b3c4d/seed1 images=DIR image_size=384

Keys:
    run             a run's folder: its best checkpoint is scored
    checkpoint      or any checkpoint file
    split           train, valid or test               [test; valid where images have no test]
    data            another folder of prepared data                       [the checkpoint's]
    batch_size      samples scored at once                                [as in training]
    device          auto, cpu or cuda                                     [auto]
  of text:
    context_window  tokens of context that every scored token has at least               [0]
  of images:
    images          a folder <class>/<image> instead of prepared data
    image_size      pixels, any multiple of the patch size                [as in training]
    workers         processes that decode                                               [0]
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
    split: str | None = None
    data: str | None = None
    batch_size: int | None = None
    device: str = "auto"
    context_window: int = 0
    images: str | None = None
    image_size: int | None = None
    workers: int = 0


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

    checkpoints.install()
    cuda = find_place(arguments.device).cuda
    task = checkpoints.read(path)["cfg"]["task"]["_name"]
    score = _score_images if task == "lrpe_image_classification" else _score_text
    print(f"{path}\n{score(path, arguments, cuda)}")


def _score_text(path: Path, arguments: Arguments, cuda: bool) -> str:
    from experiments.engine.families.alm.evaluation import evaluate

    split = arguments.split or "test"
    score = evaluate(
        path,
        split,
        data=Path(arguments.data) if arguments.data else None,
        context_window=arguments.context_window,
        sequences=arguments.batch_size,
        cuda=cuda,
    )
    return (
        f"{split}: perplexity {score.perplexity:.2f}, loss {score.loss:.4f} nats a token, {score.tokens:,} tokens, "
        f"context window {arguments.context_window}"
    )


def _score_images(path: Path, arguments: Arguments, cuda: bool) -> str:
    from experiments.engine.families.imagenet.evaluation import evaluate

    score = evaluate(
        path,
        arguments.split,
        data=Path(arguments.data) if arguments.data else None,
        images=Path(arguments.images) if arguments.images else None,
        image_size=arguments.image_size,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
        cuda=cuda,
    )
    where = arguments.images or arguments.split or "held out"
    return (
        f"{where}: top-1 {score.top1:.2f} %, top-5 {score.top5:.2f} %, loss {score.loss:.4f} nats an image, "
        f"{score.images:,} images"
    )


if __name__ == "__main__":
    exit_on_user_error(main)
