"""A folder of images: indexed where it lies, refused where it is not what it claims to be."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from data_prep.api import DataError, check, load_manifest, prepare
from data_prep.images import imagenet
from data_prep.images.index import ImageSplit
from data_prep.images.preparation import PublishedImages
from tests.data_prep.support import run

from .support import CLASSES, pixels, write_folder, write_image


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "source")


def prepare_small(tmp_path: Path, source: Path, **options: Any) -> Path:
    return prepare("imagenet", tmp_path / "out", source, **{"allow_other_counts": True, **options})


def test_images_are_found_labeled_and_left_where_they_are(tmp_path: Path, source: Path) -> None:
    folder = prepare_small(tmp_path, source)
    manifest = check(folder)
    assert (manifest["kind"], manifest["classes"], manifest["counts"]) == ("images", 3, "other")
    assert manifest["splits"]["train"]["images"] == 9
    assert manifest["splits"]["valid"]["images"] == 6
    assert (manifest["splits"]["train"]["mean_width"], manifest["splits"]["train"]["mean_height"]) == (16, 12)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20_000
    train = ImageSplit(folder, "train")
    assert train.classes == list(CLASSES)
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert np.array_equal(np.asarray(train.image(4)), pixels(101))
    assert train.name(4) == str(source / "train" / CLASSES[1] / "001.png")


def test_a_split_survives_the_way_to_another_process(tmp_path: Path, source: Path) -> None:
    split = ImageSplit(prepare_small(tmp_path, source), "valid")
    copy = pickle.loads(pickle.dumps(split))
    assert np.array_equal(np.asarray(copy.image(3)), np.asarray(split.image(3)))
    assert len(pickle.dumps(split)) < 5_000


def test_the_identity_is_of_the_images_and_not_of_where_they_lie(tmp_path: Path, source: Path) -> None:
    moved = shutil.copytree(source, tmp_path / "moved")
    one = load_manifest(prepare("imagenet", tmp_path / "1", source, allow_other_counts=True))["identity"]
    two = load_manifest(prepare("imagenet", tmp_path / "2", moved, allow_other_counts=True))["identity"]
    (moved / "train" / CLASSES[0] / "000.png").unlink()
    three = load_manifest(prepare("imagenet", tmp_path / "3", moved, allow_other_counts=True))["identity"]
    assert one == two
    assert one != three


def test_a_second_call_touches_nothing_and_another_folder_is_refused(tmp_path: Path, source: Path) -> None:
    folder = prepare_small(tmp_path, source)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert prepare_small(tmp_path, source) == folder
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    with pytest.raises(DataError, match=r"is an index of .*source, not of .*other; --force"):
        prepare_small(tmp_path, write_folder(tmp_path / "other"))


def test_counts_are_verified(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"train has 3 classes and the published data set has 1,000.*--allow-other"):
        prepare_small(tmp_path, source, allow_other_counts=False)
    monkeypatch.setattr(imagenet, "PUBLISHED", PublishedImages({"train": 9, "valid": 7}, classes=3))
    with pytest.raises(DataError, match=r"val has 6 images and the published data set has 7"):
        prepare_small(tmp_path, source, allow_other_counts=False)
    monkeypatch.setattr(imagenet, "PUBLISHED", PublishedImages({"train": 9, "valid": 6}, classes=3))
    verified = load_manifest(prepare_small(tmp_path, source, allow_other_counts=False))
    assert verified["counts"] == "published"


@pytest.fixture
def damaged(source: Path) -> Path:
    (source / "train" / CLASSES[0] / "notes.txt").write_text("no image")
    (source / "train" / CLASSES[1] / "empty.png").touch()
    cut = source / "val" / CLASSES[2] / "001.png"
    cut.write_bytes(cut.read_bytes()[:-20])
    (source / "train" / CLASSES[0] / ".DS_Store").write_text("left by a desktop")
    return source


def test_what_is_no_image_is_listed_with_its_path(tmp_path: Path, damaged: Path) -> None:
    with pytest.raises(DataError, match="3 files are no images or damaged") as caught:
        prepare_small(tmp_path, damaged)
    for name, fault in (("notes.txt", "not an image"), ("empty.png", "empty"), ("001.png", "cut off")):
        assert any(name in line and fault in line for line in str(caught.value).splitlines())
    assert "--skip-corrupt" in str(caught.value)
    assert len((tmp_path / "out" / "imagenet.corrupt.txt").read_text().splitlines()) == 3
    assert not (tmp_path / "out" / "imagenet").exists()


def test_it_is_left_out_only_on_request(tmp_path: Path, damaged: Path) -> None:
    manifest = load_manifest(prepare_small(tmp_path, damaged, skip_corrupt=True))
    assert (manifest["splits"]["train"]["images"], manifest["splits"]["valid"]["images"]) == (9, 5)
    assert len(manifest["skipped"]) == 3


def test_decoding_finds_damage_inside(tmp_path: Path, source: Path) -> None:
    path = write_image(source / "train" / CLASSES[0] / "large.png", 9, 64, 64)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    split = ImageSplit(prepare_small(tmp_path, source), "train")
    with pytest.raises(DataError, match=r"large.png: no image .* --decode --skip-corrupt --force"):
        split.image(3)
    with pytest.raises(DataError, match=r"large.png: no image that can be decoded"):
        prepare_small(tmp_path, source, decode=True, force=True)


def test_a_class_that_is_missing_in_val_is_refused_unless_asked_for(tmp_path: Path, source: Path) -> None:
    shutil.rmtree(source / "val" / CLASSES[1])
    with pytest.raises(DataError, match=r"val lacks 1 of the 3 classes of train, e.g. 'n00000002'.*--allow-missing"):
        prepare_small(tmp_path, source)
    folder = prepare_small(tmp_path, source, allow_missing_classes=True)
    assert load_manifest(folder)["splits"]["valid"]["classes"] == 2
    assert ImageSplit(folder, "valid").labels.tolist() == [0, 0, 2, 2]


def test_a_class_that_only_val_has_is_refused(tmp_path: Path, source: Path) -> None:
    (source / "val" / CLASSES[1]).rename(source / "val" / "n00000009")
    with pytest.raises(DataError, match=r"val has a folder 'n00000009' that .*train does not have"):
        prepare_small(tmp_path, source)


def test_an_empty_class_in_train_does_not_shift_the_labels(tmp_path: Path, source: Path) -> None:
    shutil.rmtree(source / "train" / CLASSES[1])
    (source / "train" / CLASSES[1]).mkdir()
    folder = prepare_small(tmp_path, source)
    assert load_manifest(folder)["splits"]["train"]["classes"] == 2
    assert ImageSplit(folder, "train").labels.tolist() == [0, 0, 0, 2, 2, 2]


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        ("train", r"holds no folder train \(it holds val\); expected train/<class>/"),
        ("val", r"holds no folder val, valid, validation or test.*--validate-on-train"),
    ],
)
def test_a_missing_folder_names_what_is_expected(tmp_path: Path, source: Path, remove: str, message: str) -> None:
    shutil.rmtree(source / remove)
    with pytest.raises(DataError, match=message):
        prepare_small(tmp_path, source)


def test_training_images_can_serve_for_both(tmp_path: Path, source: Path) -> None:
    folder = prepare_small(tmp_path, source / "train", validate_on_train=True)
    manifest = load_manifest(folder)
    assert manifest["splits"]["train"] == manifest["splits"]["valid"]
    assert manifest["notes"] == {"validated_on": "train"}
    with pytest.raises(DataError, match="was prepared with --validate-on-train"):
        prepare_small(tmp_path, source / "train")


def flat(source: Path) -> Path:
    """The validation images in one folder, in an order that is not that of the classes."""
    for number, (label, image) in enumerate([(2, 0), (0, 0), (1, 0), (0, 1), (2, 1), (1, 1)], start=1):
        place = source / "val" / CLASSES[label] / f"{image:03d}.png"
        place.rename(source / "val" / f"ILSVRC2012_val_{number:08d}.JPEG")
    for name in CLASSES:
        (source / "val" / name).rmdir()
    return source


LABELS = [2, 0, 1, 0, 2, 1]
NAMES = [f"ILSVRC2012_val_{number:08d}" for number in range(1, 7)]


@pytest.mark.parametrize("form", ["names", "numbers", "wnids", "kaggle", "development kit"])
def test_the_flat_validation_folder_with_its_mapping(tmp_path: Path, source: Path, form: str) -> None:
    mapping = tmp_path / "mapping.txt"
    wnids = [CLASSES[label] for label in LABELS]
    lines = {
        "names": [f"{name}.JPEG {wnid}" for name, wnid in zip(NAMES, wnids, strict=True)],
        "numbers": [f"val/{name}.JPEG {label}" for name, label in zip(NAMES, LABELS, strict=True)],
        "wnids": wnids,
        "kaggle": ["ImageId,PredictionString"]
        + [f"{name},{wnid} 1 2 3 4 {wnid} 5 6 7 8" for name, wnid in zip(NAMES, wnids, strict=True)],
        "development kit": [str({0: 3, 1: 1, 2: 2}[label]) for label in LABELS],
    }
    mapping.write_text("\n".join(lines[form]) + "\n")
    if form == "development kit":
        synsets = np.array([(1, CLASSES[1]), (2, CLASSES[2]), (3, CLASSES[0])], dtype=[("ID", "O"), ("WNID", "O")])
        savemat(tmp_path / "meta.mat", {"synsets": synsets})
    folder = prepare_small(tmp_path, flat(source), validation_labels=mapping)
    assert ImageSplit(folder, "valid").labels.tolist() == LABELS


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (None, "has no folders of classes.*--validation-labels FILE"),
        ([], "is empty"),
        (["490"] * 6, "put meta.mat beside it"),
        ([CLASSES[0]] * 5, "has 5 lines and the folder 6 images"),
        ([f"{name}.JPEG {CLASSES[0]}" for name in NAMES[:5]], r"no class for .*00000006.JPEG|lacks 2 of the 3"),
        ([f"{name}.JPEG n00000009" for name in NAMES], "has a class 'n00000009' that .*train does not have"),
        ([f"{NAMES[0]}.JPEG 3"], "line 1: class 3 of 3, numbered from 0"),
        (["what is this file"], "line 1: 'what is this file' is of none of the formats"),
    ],
)
def test_a_mapping_that_does_not_fit(tmp_path: Path, source: Path, lines: list[str] | None, message: str) -> None:
    mapping = tmp_path / "mapping.txt"
    if lines is not None:
        mapping.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=message):
        prepare_small(tmp_path, flat(source), validation_labels=None if lines is None else mapping)


def test_images_that_have_moved_are_one_message(tmp_path: Path, source: Path) -> None:
    folder = prepare_small(tmp_path, source)
    source.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"no longer in .*source: index them again with python -m data_prep.imagenet"):
        ImageSplit(folder, "train")


def test_the_command_sums_up(tmp_path: Path, source: Path) -> None:
    done = run("imagenet", "--source", source, "--out", tmp_path / "out", "--allow-other-counts")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 classes, counts: other" in done.stdout
    assert "9 images of     3 classes, 16 x 12 pixels on average" in done.stdout
    refused = run("cifar10", "--source", source, "--out", tmp_path / "out")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert "published data set has 10" in refused.stderr


def test_the_real_samples(tmp_path: Path, shared_data: Path) -> None:
    sample = shared_data / "imagenet-sample"
    if not sample.is_dir():
        pytest.skip(f"no {sample}")
    folder = prepare("imagenet", tmp_path, sample, allow_other_counts=True, validate_on_train=True)
    split = ImageSplit(folder, "train")
    assert (len(split), len(split.classes)) == (1000, 1000)
    assert split.labels.tolist() == list(range(1000))
    assert split.image(999).mode == "RGB"
