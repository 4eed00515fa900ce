"""What training's validations read, the final evaluation reads too: the last validation row equals the record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.engine.families.imagenet.transforms import ImageEvaluation
from tests.experiments.conftest import TINY, TINY_BLM, only_run, run_module
from tests.experiments.engine.imagenet.conftest import TINY as TINY_IMAGES
from tests.experiments.engine.imagenet.conftest import image_data  # noqa: F401 - a fixture
from tests.experiments.engine.support import record_of

ONCE = ["recipe.max_update=4", "recipe.warmup_updates=2", "recipe.validate_interval_updates=4"]
IMAGES = [word for word in TINY_IMAGES if not word.startswith("recipe.validate")] + ONCE


def last_validation(run: Path) -> float:
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if row["split"] == "valid"][-1]


def assert_agreement(data: Path, results: Path, words: list[str]) -> Path:
    run_module("experiments.train", data, results, *words)
    run = only_run(results)
    # fairseq rounds the losses that it logs to three digits, in bits
    assert record_of(run)["metrics"]["valid_loss"] == pytest.approx(last_validation(run), abs=6e-4)
    return run


@pytest.mark.parametrize(
    "words",
    [
        ["recipe.context_window=20", "model.adaptive_cutoffs=[20,40]"],
        ["recipe.precision=bf16"],
        ["recipe.precision=amp"],
        ["+engine.fairseq.dataset.batch_size_valid=3", "protocol.spe_axis=batch", "encoding=spe"],
    ],
    ids=" ".join,
)
def test_of_a_decoder(tiny_data: Path, tmp_path: Path, words: list[str]) -> None:
    run = assert_agreement(tiny_data, tmp_path, [*TINY, *ONCE, *words])
    said = run_module(
        "experiments.evaluate", tiny_data, tmp_path, f"run={run}", "split=valid", "device=cpu"
    ).stdout  # the command without further keys measures what the record holds
    assert f"loss {record_of(run)['metrics']['valid_loss']:.4f}" in said


@pytest.mark.parametrize(
    "words",
    [["recipe.mask_probability=0.4", "seed=5"], ["recipe.precision=bf16"]],
    ids=" ".join,
)
def test_of_a_masked_model(tiny_data: Path, tmp_path: Path, words: list[str]) -> None:
    assert_agreement(tiny_data, tmp_path, [*TINY_BLM, *ONCE, *words])


@pytest.mark.parametrize(
    "words",
    [
        ["recipe.interpolation=bilinear", "recipe.crop_fraction=0.6"],
        ["recipe.crop=padded", "recipe.average_decay=0.5"],
        ["recipe.precision=bf16"],
    ],
    ids=" ".join,
)
def test_of_an_image_classifier(image_data: Path, tmp_path: Path, words: list[str]) -> None:  # noqa: F811
    assert_agreement(image_data, tmp_path, [*IMAGES, *words])


def test_every_field_of_an_image_evaluation_comes_from_the_checkpoint() -> None:
    class Section:
        image_size, crop_fraction, augmentation = 32, 0.5, '{"interpolation": "nearest"}'

    found = ImageEvaluation.of(Section)
    assert found == ImageEvaluation(32, 0.5, "nearest")
    assert "interpolation=nearest" in str(found.transform())
