"""Images a second that decoding and augmenting yields, without a model: what training cannot exceed.

    python -m benchmarks.image_loading experiment=imagenet profile=paper engine.num_workers=8

Takes the overrides of experiments.train, and reads the data that they name.
"""

from __future__ import annotations

import json
import sys
import time

from torch.utils.data import DataLoader

from data_prep.images.index import ImageSplit
from experiments.config import compose
from experiments.engine.families import family_of
from experiments.engine.families.imagenet.dataset import TrainingImages
from experiments.engine.families.imagenet.transforms import Augmentation
from experiments.engine.translate import accumulation
from experiments.util.errors import UserError, exit_on_user_error
from experiments.util.log import set_up

SECONDS = 15.0
WARM_UP = 2  # batches before the clock starts: processes start, files come into the cache


def measure(overrides: list[str]) -> tuple[int, float]:
    """(images, seconds) of the training images of a config, in the batches of a device."""
    config = compose(overrides)
    if config.experiment.name != "imagenet":
        raise UserError(f"experiment={config.experiment.name} has no images; add experiment=imagenet")
    task, size = family_of(config).task(config), accumulation(config, 1)[0]
    dataset = TrainingImages(
        ImageSplit(task["data"], "train"),
        Augmentation(**json.loads(task["augmentation"])),
        task["image_size"],
        config.recipe.batch_size,
        config.seed,
    )
    batches = [range(start, start + size) for start in range(0, 1000 * size, size)]
    loader = iter(
        DataLoader(dataset, batch_sampler=batches, num_workers=config.engine.num_workers, collate_fn=dataset.collater)
    )
    for _ in range(WARM_UP):
        next(loader)
    images, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < SECONDS:
        images += next(loader)["nsentences"]
    return images, elapsed


def main() -> None:
    set_up()
    images, seconds = measure(sys.argv[1:])
    print(f"{images / seconds:,.0f} images/s ({images:,} images in {seconds:.1f} s)")


if __name__ == "__main__":
    exit_on_user_error(main)
