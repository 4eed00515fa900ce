"""From images to tensors, by timm's transforms (Wightman 2019)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor

from experiments.engine import patches
from experiments.util.errors import UserError

Transform = Callable[[Image.Image], Tensor]
CROPS = ("resized", "padded", "none")


@dataclass(frozen=True)
class Augmentation:
    """What training does to an image, and to pairs of them.

    Attributes:
        crop: resized (a random part of random shape, resized: ImageNet's), padded (the image with ``crop_padding``
            pixels around it, cropped at random: CIFAR's) or none (resized and cropped in the middle).
        crop_scale: smallest part of the area (resized).
        auto_augment: timm's name of a policy, e.g. rand-m9-mstd0.5-inc1; None for none.
        color_jitter: strength; without effect beside a policy.
        horizontal_flip, random_erasing: probabilities.
        repeats: draws of each image an epoch, which then sees an n-th of the images (Hoffer et al. 2020).
        mixup, cutmix: alpha of their Beta distributions; 0 for none.
        mix_probability: of mixing a group at all; mix_switch_probability: of CutMix rather than Mixup.
        mix_group: images that share one draw of Mixup or CutMix (DeiT: the batch of a device).
        label_smoothing: mass that is spread over all classes.
    """

    crop: str = "resized"
    crop_scale: float = 0.08
    crop_padding: int = 4
    horizontal_flip: float = 0.5
    auto_augment: str | None = None
    color_jitter: float = 0.0
    interpolation: str = "bicubic"
    random_erasing: float = 0.0
    repeats: int = 1
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_probability: float = 1.0
    mix_switch_probability: float = 0.5
    mix_group: int = 64
    label_smoothing: float = 0.0

    @property
    def mixes(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0

    @property
    def transforms_at_random(self) -> bool:
        return bool(
            self.crop != "none" or self.horizontal_flip or self.auto_augment or self.color_jitter or self.random_erasing
        )


def training_transform(augmentation: Augmentation, image_size: int) -> Transform:
    """An RGB image of any size to Float32[3 image_size image_size], normalized by ImageNet's mean and deviation.

    Raises:
        ValueError: timm knows no such policy or interpolation.
    """
    timm, transforms = libraries()
    try:
        made = timm.create_transform(
            image_size,
            is_training=True,
            scale=(augmentation.crop_scale, 1.0),
            hflip=augmentation.horizontal_flip,
            color_jitter=augmentation.color_jitter or None,
            auto_augment=augmentation.auto_augment,
            interpolation=augmentation.interpolation,
            re_prob=augmentation.random_erasing,
            re_mode="pixel",
        )
    except (AssertionError, KeyError, ValueError) as error:
        raise ValueError(f"auto_augment={augmentation.auto_augment!r}: no policy of timm's ({error})") from error
    if augmentation.crop == "resized":
        return made
    mode = transforms.InterpolationMode(augmentation.interpolation)
    # transforms of a size that it has already leave an image as it is
    if augmentation.crop == "padded":
        whole = transforms.Resize((image_size, image_size), interpolation=mode)
        first = [whole, transforms.RandomCrop(image_size, padding=augmentation.crop_padding)]
    else:
        first = [transforms.Resize(image_size, interpolation=mode), transforms.CenterCrop(image_size)]
    return transforms.Compose([*first, *made.transforms[1:]])


def evaluation_transform(
    image_size: int | tuple[int, int], crop_fraction: float, interpolation: str = "bicubic"
) -> Transform:
    """An RGB image of any size to Float32[3 height width]: the shorter side resized to image_size / crop_fraction, the
    middle cropped; 224 of 256 in the literature."""
    timm, _ = libraries()
    return timm.create_transform(image_size, is_training=False, interpolation=interpolation, crop_pct=crop_fraction)


@dataclass(frozen=True)
class ImageEvaluation:
    """How images are looked at outside of training: what the validations of a run, its record, ``experiments.evaluate``
    and ``experiments.inspect`` share.

    Attributes:
        image_size: pixels.
        crop_fraction: part of the shorter side that the crop of the middle keeps.
        interpolation: of resizing: bicubic, bilinear, ...
    """

    image_size: int
    crop_fraction: float
    interpolation: str

    @classmethod
    def of(cls, task: Any) -> ImageEvaluation:
        """That of fairseq's ``task`` section, which every checkpoint carries."""
        return cls(task.image_size, task.crop_fraction, Augmentation(**json.loads(task.augmentation)).interpolation)

    def transform(self) -> Transform:
        return evaluation_transform(self.image_size, self.crop_fraction, self.interpolation)


def libraries() -> tuple[Any, Any]:
    """timm.data and torchvision.transforms: seconds to import, which runs of other families are spared.

    Raises:
        UserError: they are not installed.
    """
    try:
        patches.import_torchvision()
        patches.posterize_to_black()
        import timm.data
        from torchvision import transforms
    except ImportError as error:
        raise UserError(
            f"{error}: images need timm and torchvision, pip install -c constraints.txt '.[images]'"
        ) from None
    return timm.data, transforms
