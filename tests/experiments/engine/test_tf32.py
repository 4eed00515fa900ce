"""recipe.precision=tf32 reaches torch while a run trains, and nothing after it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experiments.config import compose, scientific
from experiments.engine.tf32 import is_available, matrix_products
from tests.experiments.conftest import only_run, run_train
from tests.experiments.engine.support import record_of


def setting() -> tuple[str, bool]:
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(("precision", "expected"), [("tf32", ("high", True)), ("fp32", ("highest", False))])
def test_products_are_of_the_precision_asked_for_until_training_ends(
    precision: str, expected: tuple[str, bool]
) -> None:
    before = setting()
    seen = []

    def train() -> None:
        with matrix_products(precision):
            seen.append(setting())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    assert seen == [expected]
    assert setting() == before


@pytest.mark.skipif(not is_available(), reason="needs a GPU with TF32")
def test_a_gpu_multiplies_in_tf32_and_in_float32() -> None:
    left, right = torch.randn(2, 512, 512, device="cuda")
    exact = left.double() @ right.double()
    errors = {}
    for precision in ("tf32", "fp32"):
        with matrix_products(precision):
            errors[precision] = float((left @ right - exact).abs().max() / exact.abs().max())
    assert errors["fp32"] < 1e-5 < 1e-4 < errors["tf32"] < 1e-2


def test_the_precision_is_a_part_of_what_a_run_is(tiny_data: Path) -> None:
    word = f"data.folder={tiny_data / 'wikitext2'}"
    parts = [scientific(compose([word, f"recipe.precision={name}"])) for name in ("tf32", "fp32")]
    assert parts[0] != parts[1]


@pytest.mark.parametrize("experiment", ["alm", "blm", "imagenet"])
def test_the_paper_recipes_train_as_the_authors_torch_does_by_default(experiment: str) -> None:
    assert compose([f"experiment={experiment}", "profile=paper"]).recipe.precision == "tf32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about devices without TF32")
def test_a_device_without_tf32_says_so_and_trains(tiny_data: Path, tmp_path: Path) -> None:
    done = run_train(tiny_data, tmp_path, "recipe.precision=tf32", "recipe.max_update=2")
    assert "warning: recipe.precision=tf32: this device has no TF32; it multiplies in float32" in done.stderr
    assert record_of(only_run(tmp_path))["status"] == "finished"
