"""What a sample is depends on seed, epoch and place in the order: not on who loads it, nor with which others."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from data_prep.api import prepare
from data_prep.images.index import ImageSplit
from experiments.engine.families.imagenet.dataset import EvaluationImages, TrainingImages, epoch_order
from experiments.engine.families.imagenet.transforms import Augmentation, evaluation_transform, training_transform
from tests.data_prep.images.support import pixels, write_folder

FULL = Augmentation(
    auto_augment="rand-m9-mstd0.5-inc1", random_erasing=0.5, mixup=0.8, cutmix=1.0, label_smoothing=0.1, mix_group=4
)
PLAIN = Augmentation(crop="none", horizontal_flip=0)


def training(data: Path, augmentation: Augmentation = FULL, batch_size: int = 12, seed: int = 1) -> TrainingImages:
    return TrainingImages(ImageSplit(data / "cifar10", "train"), augmentation, 8, batch_size, seed)


def batch(dataset: TrainingImages, positions: range, epoch: int = 1) -> dict[str, Any]:
    return dataset.collater([dataset[epoch * len(dataset) + position] for position in positions])


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    images = torch.equal(one["net_input"]["images"], other["net_input"]["images"])
    return images and torch.equal(one["target"], other["target"]) and torch.equal(one["id"], other["id"])


def test_a_seed_and_an_epoch_repeat_and_others_differ(image_data: Path) -> None:
    def drawn(seed: int, epoch: int) -> dict[str, Any]:
        return batch(training(image_data, seed=seed), range(12), epoch)

    assert equal(drawn(1, 2), drawn(1, 2))
    assert not equal(drawn(1, 2), drawn(1, 3))
    assert not equal(drawn(1, 2), drawn(2, 2))


def test_samples_do_not_depend_on_the_order_of_loading_or_the_global_generators(image_data: Path) -> None:
    dataset = training(image_data)
    expected = [dataset[position] for position in range(6)]
    random.seed(7)
    np.random.seed(7)
    torch.manual_seed(7)
    before = random.random(), np.random.rand(), torch.rand(1)
    for position in (5, 0, 3):
        assert torch.equal(dataset[position]["image"], expected[position]["image"])
    random.seed(7)
    np.random.seed(7)
    torch.manual_seed(7)
    again = random.random(), np.random.rand(), torch.rand(1)
    dataset[1]
    assert again == before
    after = random.random(), np.random.rand(), torch.rand(1)
    random.seed(7)
    np.random.seed(7)
    torch.manual_seed(7)
    random.random(), np.random.rand(), torch.rand(1)
    assert after == (random.random(), np.random.rand(), torch.rand(1)), "loading leaves the generators as they were"


def test_the_number_of_worker_processes_changes_nothing(image_data: Path) -> None:
    dataset = training(image_data)
    batches = [range(0, 6), range(6, 12), range(12, 18)]
    alone = [batch(dataset, positions, epoch=0) for positions in batches]
    shared = DataLoader(dataset, batch_sampler=batches, num_workers=2, collate_fn=dataset.collater)
    assert all(equal(one, other) for one, other in zip(alone, shared, strict=True))


@pytest.mark.parametrize("size", [2, 4, 6])
def test_mixing_does_not_depend_on_how_an_update_is_divided(image_data: Path, size: int) -> None:
    """Neighbors are mixed, and four in succession share a draw, whichever passes they come in."""
    dataset = training(image_data)
    whole = batch(dataset, range(12))
    parts = [batch(dataset, range(start, start + size)) for start in range(0, 12, size)]
    for key in ("id", "target"):
        assert torch.equal(torch.cat([part[key] for part in parts]), whole[key])
    images = torch.cat([part["net_input"]["images"] for part in parts])
    torch.testing.assert_close(images, whole["net_input"]["images"], rtol=0, atol=0)


def test_targets_are_mixtures_of_two_neighbors(image_data: Path) -> None:
    dataset = training(image_data, Augmentation(crop="none", horizontal_flip=0, mixup=1.0, mix_group=4))
    made = batch(dataset, range(12))
    samples = [dataset[len(dataset) + position] for position in range(12)]
    labels = [sample["label"] for sample in samples]
    weights = []
    for row in range(12):
        own, other = labels[row], labels[row ^ 1]
        assert made["target"][row].sum().item() == pytest.approx(1)
        assert set(made["target"][row].nonzero().flatten().tolist()) <= {own, other}
        if own != other:
            weights.append((row // 4, round(made["target"][row, own].item(), 5)))
            plain = samples[row]["image"], samples[row ^ 1]["image"]
            mixed = weights[-1][1] * plain[0] + (1 - weights[-1][1]) * plain[1]
            torch.testing.assert_close(made["net_input"]["images"][row], mixed, rtol=0, atol=1e-4)
    assert len(set(weights)) == len({group for group, _ in weights}) > 1, "one weight a group"


def test_label_smoothing_without_mixing(image_data: Path) -> None:
    made = batch(training(image_data, Augmentation(label_smoothing=0.3)), range(4))
    assert made["target"].sort().values[0].tolist() == pytest.approx([0.1, 0.1, 0.8])
    hard = batch(training(image_data, PLAIN), range(4))
    assert hard["target"].dtype == torch.int64


def test_an_epoch_holds_every_image_once_in_whole_updates() -> None:
    order = epoch_order(50, 8, 1, seed=1, epoch=1)
    assert len(order) == 48
    assert max(Counter(order.tolist()).values()) == 1


def test_repeated_augmentation_draws_fewer_images_more_often_within_one_update() -> None:
    order = epoch_order(90, 9, 3, seed=1, epoch=1).reshape(10, 9)
    for update in order:
        assert set(Counter(update.tolist()).values()) == {3}
    assert len(set(order.reshape(-1).tolist())) == 30


def test_fewer_images_than_a_batch_repeat() -> None:
    assert Counter(epoch_order(4, 8, 1, seed=1, epoch=1).tolist()) == dict.fromkeys(range(4), 2)


@pytest.mark.parametrize("crop", ["resized", "padded", "none"])
@pytest.mark.parametrize("size", [(5, 7), (8, 8), (40, 9), (1, 30)])
def test_images_of_every_size_become_the_model_s(crop: str, size: tuple[int, int]) -> None:
    image = Image.fromarray(pixels(1, *size))
    made = training_transform(Augmentation(crop=crop, auto_augment="rand-m9-mstd0.5-inc1"), 8)(image)
    assert made.shape == (3, 8, 8)
    assert evaluation_transform(8, 0.875)(image).shape == (3, 8, 8)


def test_channels_keep_their_order_and_are_normalized() -> None:
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    for transform in (training_transform(PLAIN, 8), evaluation_transform(8, 1.0)):
        expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225]
        assert transform(red)[:, 0, 0].tolist() == pytest.approx(expected)


def test_evaluation_crops_the_middle_of_the_resized_image() -> None:
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    image[2:-2, 2:-2] = 255
    cropped = evaluation_transform(28, 0.875)(Image.fromarray(image))
    assert (cropped[0] > 2).all()


def test_evaluation_sees_every_image_once_in_order(image_data: Path) -> None:
    dataset = EvaluationImages(ImageSplit(image_data / "cifar10", "valid"), evaluation_transform(8, 1.0))
    assert [dataset[index]["label"] for index in dataset.ordered_indices()] == [0] * 4 + [1] * 4 + [2] * 4


def test_an_unknown_policy_is_named() -> None:
    with pytest.raises(ValueError, match="auto_augment='bold': no policy of timm's"):
        training_transform(Augmentation(auto_augment="bold"), 8)


def test_a_damaged_image_becomes_a_message_of_its_batch(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "source")
    prepare("cifar10", out=tmp_path, source=source, allow_other_counts=True)
    broken = source / "train" / "n00000002" / "001.png"
    broken.write_bytes(broken.read_bytes()[:60])
    dataset = TrainingImages(ImageSplit(tmp_path / "cifar10", "train"), FULL, 8, 9, seed=1)
    made = next(iter(DataLoader(dataset, 9, num_workers=1, collate_fn=dataset.collater)))
    assert str(broken) in made["fault"]
    assert "--skip-corrupt" in made["fault"]
    shutil.rmtree(source)


def test_the_policy_s_full_magnitude_works_with_this_pillow() -> None:
    """timm keeps down to 0 bits of a pixel, which Pillow refuses since version 13."""
    image = Image.fromarray(pixels(2))
    transform = training_transform(Augmentation(crop="none", horizontal_flip=0, auto_augment="rand-m10-n15-inc1"), 8)
    for _ in range(10):
        assert transform(image).isfinite().all()
