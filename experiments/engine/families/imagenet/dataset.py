"""Prepared images as fairseq data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from fairseq.data import FairseqDataset

from data_prep.core.errors import DataError
from data_prep.images.index import ImageSplit
from data_prep.images.loose import LooseImages
from experiments.engine.families.imagenet.mixing import Mixing
from experiments.engine.families.imagenet.randomness import drawn_from
from experiments.engine.families.imagenet.transforms import Augmentation, Transform, training_transform

Sample = dict[str, Any]
SAMPLE = 0  # distinguishes the draws of a sample from those of a group of them


class Images(FairseqDataset):
    """What both kinds share: a sample is an image tensor and its label; a batch, their stack.

    A damaged image becomes a batch with the entry ``fault``, which the task raises in the main process: an exception in
    a loader's process would arrive as that process's traceback.
    """

    def __init__(self, split: ImageSplit | LooseImages, transform: Transform) -> None:
        self.split, self.transform = split, transform

    def load(self, index: int) -> Sample:
        """Image ``index`` of the split, transformed."""
        try:
            image = self.transform(self.split.image(index))
        except DataError as error:
            return {"id": index, "fault": str(error)}
        return {"id": index, "image": image, "label": int(self.split.labels[index])}

    def collater(self, samples: list[Sample]) -> dict[str, Any]:
        if not samples:
            return {}  # fairseq evens out the devices' shards with empty batches
        faults = [sample["fault"] for sample in samples if "fault" in sample]
        if faults:
            return {"fault": faults[0], "nsentences": 0, "ntokens": 0}
        images = torch.stack([sample["image"] for sample in samples])
        labels = torch.tensor([sample["label"] for sample in samples])
        images, target = self.finish(images, labels, samples)
        return {
            "id": torch.tensor([sample["id"] for sample in samples]),
            "nsentences": len(samples),
            "ntokens": len(samples),
            "net_input": {"images": images},
            "target": target,
        }

    def finish(self, images: torch.Tensor, labels: torch.Tensor, samples: list[Sample]) -> tuple[Any, Any]:
        return images, labels

    def num_tokens(self, index: int) -> int:
        return 1

    def num_tokens_vec(self, indices: Sequence[int]) -> np.ndarray:
        return np.ones(len(indices), dtype=np.int64)

    def size(self, index: int) -> int:
        return 1

    def ordered_indices(self) -> np.ndarray:
        return np.arange(len(self))


class EvaluationImages(Images):
    """Every image of a split once, in its order."""

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Sample:
        return self.load(int(index))


class TrainingImages(Images):
    """Epochs of whole updates: sample epoch * len + p is the p-th image of that epoch's order.

    The epoch is a part of the number because a loader's processes may have started before fairseq names the epoch.
    Every draw belongs to (seed, epoch, p), so that a sample is the same in every process that loads it.
    Images that fill no whole update are left for other epochs, as in DeiT.

    Args:
        split: the images.
        augmentation: what is done to them.
        image_size: of the tensors.
        batch_size: images per update.
        seed: of the run.
    """

    def __init__(
        self, split: ImageSplit, augmentation: Augmentation, image_size: int, batch_size: int, seed: int
    ) -> None:
        super().__init__(split, training_transform(augmentation, image_size))
        self.augmentation, self.batch_size, self.seed = augmentation, batch_size, seed
        self.mixing = Mixing(augmentation, len(split.classes), seed)
        self._order: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        """Samples an epoch."""
        return updates_per_epoch(len(self.split), self.batch_size) * self.batch_size

    def __getitem__(self, number: int) -> Sample:
        epoch, position = divmod(int(number), len(self))
        index = int(self.order(epoch)[position])
        if not self.augmentation.transforms_at_random:
            sample = self.load(index)
        else:
            with drawn_from(self.seed, epoch, position, SAMPLE):
                sample = self.load(index)
        return {**sample, "epoch": epoch, "position": position}

    def order(self, epoch: int) -> np.ndarray:
        """The images of an epoch; see :func:`epoch_order`."""
        if self._order is None or self._order[0] != epoch:
            repeats = self.augmentation.repeats
            self._order = epoch, epoch_order(len(self.split), self.batch_size, repeats, self.seed, epoch)
        return self._order[1]

    def finish(self, images: torch.Tensor, labels: torch.Tensor, samples: list[Sample]) -> tuple[Any, Any]:
        return self.mixing(images, labels, [sample["position"] for sample in samples], samples[0]["epoch"])


def updates_per_epoch(images: int, batch_size: int) -> int:
    """Whole updates in ``images``; one, with repeated images, where they fill none."""
    return max(1, images // batch_size)


def epoch_order(images: int, batch_size: int, repeats: int, seed: int, epoch: int) -> np.ndarray:
    """The images of an epoch, update after update: Int[updates*batch_size].

    A random order of all images, each ``repeats`` times in succession, up to the number of images: so an update holds
    all draws of its images (as DeiT's sampler deals them to devices), here in an order of its own, so that Mixup's
    neighbors are different images.
    """
    generator = np.random.default_rng([seed, epoch])
    updates = updates_per_epoch(images, batch_size)
    rounds = -(-updates * batch_size // (repeats * images))
    order = np.concatenate([generator.permutation(images) for _ in range(rounds)])
    order = np.repeat(order, repeats)[: updates * batch_size].reshape(updates, batch_size)
    return generator.permuted(order, axis=1).reshape(-1)
