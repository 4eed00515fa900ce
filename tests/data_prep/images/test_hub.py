"""Images of the hub are streamed once and kept as they were encoded; the embedded digits are always there."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from data_prep.api import DataError, load_manifest, prepare
from data_prep.images.index import ImageSplit

from .support import pixels


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels(seed)).save(buffer, "PNG")
    return buffer.getvalue()


def fake_hub(monkeypatch: pytest.MonkeyPatch, image: str, label: str, rows: dict[str, list[bytes]]) -> list[tuple]:
    calls: list[tuple] = []

    def load_dataset(name: str, *, split: str, revision: str | None, streaming: bool) -> datasets.IterableDataset:
        calls.append((name, split, revision, streaming))
        if split not in rows:
            raise ValueError(f"Bad split: {split}. Available splits: {list(rows)}")
        features = datasets.Features({
            image: datasets.Image(), label: datasets.ClassLabel(names=["cat", "dog"]), "other": datasets.Value("int32"),
        })  # fmt: skip
        made = {
            image: [{"bytes": content, "path": None} for content in rows[split]],
            label: [number % 2 for number in range(len(rows[split]))],
            "other": [0] * len(rows[split]),
        }
        return datasets.Dataset.from_dict(made, features=features).to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return calls


@pytest.mark.parametrize(
    ("name", "identifier", "columns", "held_out"),
    [
        ("cifar10", "uoft-cs/cifar10", ("img", "label"), "test"),
        ("cifar100", "uoft-cs/cifar100", ("img", "fine_label"), "test"),
        ("imagenet", "ILSVRC/imagenet-1k", ("image", "label"), "validation"),
    ],
)
def test_the_hub_s_images_are_kept_byte_for_byte(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    identifier: str,
    columns: tuple[str, str],
    held_out: str,
) -> None:
    monkeypatch.setattr(f"data_prep.images.{'imagenet' if name == 'imagenet' else 'cifar'}.HUB_BYTES", 0)
    calls = fake_hub(monkeypatch, *columns, {"train": [png(n) for n in range(5)], held_out: [png(9)]})
    monkeypatch.setattr("data_prep.images.hub.ROWS", 2)
    folder = prepare(name, tmp_path, revision="abc", allow_other_counts=True)
    assert calls == [(identifier, "train", "abc", True), (identifier, held_out, "abc", True)]
    assert load_manifest(folder)["source"] == {"kind": "hub", "id": identifier, "revision": "abc"}
    train = ImageSplit(folder, "train")
    assert (train.classes, train.labels.tolist()) == (["cat", "dog"], [0, 1, 0, 1, 0])
    assert np.array_equal(np.asarray(train.image(3)), pixels(3))
    assert np.array_equal(np.asarray(ImageSplit(folder, "valid").image(0)), pixels(9))


def test_a_damaged_row_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_hub(monkeypatch, "img", "label", {"train": [png(0), b"text"], "test": [png(9)]})
    with pytest.raises(DataError, match=r"uoft-cs/cifar10 \(train\), row 1: not an image"):
        prepare("cifar10", tmp_path, allow_other_counts=True)


def test_a_hub_without_the_data_says_what_to_do_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_hub(monkeypatch, "img", "label", {"train": [png(0)]})
    with pytest.raises(DataError, match=r"cannot get uoft-cs/cifar10 .*Bad split.*call it with --source DIR"):
        prepare("cifar10", tmp_path)
    with pytest.raises(DataError, match="are of a folder: add --source DIR"):
        prepare("imagenet", tmp_path, validate_on_train=True)


def test_digits_are_embedded_split_and_whole(tmp_path: Path) -> None:
    folder = prepare("digits", tmp_path)
    splits = {name: ImageSplit(folder, name) for name in ("train", "valid", "test")}
    assert {name: len(split) for name, split in splits.items()} == {"train": 1084, "valid": 340, "test": 373}
    assert all(set(split.labels.tolist()) == set(range(10)) for split in splits.values())
    assert splits["train"].image(0).size == (8, 8)
    assert splits["train"].image(0).mode == "RGB"
    seen = Counter(
        content for split in splits.values() for content in {split.image(i).tobytes() for i in range(len(split))}
    )
    assert max(seen.values()) == 1, "no image is in two splits"
    identity = load_manifest(folder)["identity"]
    assert load_manifest(prepare("digits", tmp_path / "again"))["identity"] == identity
