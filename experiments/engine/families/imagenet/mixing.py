"""Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) by timm, the same however a batch is divided."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from experiments.engine.families.imagenet.randomness import drawn_from
from experiments.engine.families.imagenet.transforms import Augmentation, libraries

MIXING = 1  # distinguishes these draws from those of the samples


class Mixing:
    """Mixes neighbors in the order of an epoch, 2j with 2j + 1, and gives soft targets.

    timm mixes an image with its mirror in the batch, so that results depend on the batches that devices get. Neighbors
    stay together in every batch of even size; and one draw is shared by ``mix_group`` images that follow each other,
    whichever batches they come in.

    Args:
        augmentation: alphas, probabilities, the size of a group, label smoothing.
        classes: of the targets.
        seed: of the run.
    """

    def __init__(self, augmentation: Augmentation, classes: int, seed: int) -> None:
        self.augmentation, self.classes, self.seed = augmentation, classes, seed
        self._mixup = None
        timm, _ = libraries()
        self._smooth = timm.mixup.mixup_target
        if augmentation.mixes:
            self._mixup = timm.Mixup(
                mixup_alpha=augmentation.mixup,
                cutmix_alpha=augmentation.cutmix,
                prob=augmentation.mix_probability,
                switch_prob=augmentation.mix_switch_probability,
                mode="batch",
                label_smoothing=augmentation.label_smoothing,
                num_classes=classes,
            )

    def __call__(self, images: Tensor, labels: Tensor, positions: Sequence[int], epoch: int) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Args:
            images: Float[batch channels height width]; overwritten.
            labels: Int[batch]
            positions: of the images in the epoch, rising.
            epoch: from 1.

        Returns:
            images and targets: Float[batch classes] that sum to 1, or the labels where nothing is mixed or smoothed.
        """
        if self._mixup is None:
            if not self.augmentation.label_smoothing:
                return images, labels
            return images, self._smooth(labels, self.classes, 1.0, self.augmentation.label_smoothing)
        targets = torch.empty(len(labels), self.classes)
        for group, members in groupby(range(len(labels)), lambda row: positions[row] // self.augmentation.mix_group):
            rows = list(members)
            mirrored = torch.tensor([*rows[0::2], *rows[1::2][::-1]])
            with drawn_from(self.seed, epoch, group, MIXING):
                images[mirrored], targets[mirrored] = self._mixup(images[mirrored], labels[mirrored])
        return images, targets
