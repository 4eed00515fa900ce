"""The plan's operations are those that torch counts, and its memory is what runs needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from torch.utils.flop_counter import FlopCounterMode

from experiments.config import compose
from experiments.engine.cost import cost
from experiments.engine.families import family_of
from tests.experiments.conftest import TINY, TINY_BLM, only_run, run_module
from tests.experiments.engine.support import record_of


@pytest.fixture(autouse=True)
def _no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRPE_DATA", str(tmp_path / "nothing"))


def test_operations_of_the_papers_decoder_by_hand() -> None:
    config = compose(["experiment=alm", "profile=paper", "encoding=rope"])
    found = cost(config, 8)
    assert found is not None
    tokens, width, ffn, heads, head = 128 * 512, 512, 2048, 8, 64
    assert found.flops.layers == 3 * tokens * 6 * 2 * (4 * width * width + 2 * width * ffn)
    assert found.flops.attention == 3 * tokens * 6 * heads * (4 * head * head + 4 * 64 * head)
    assert found.flops.output == 3 * tokens * 2 * width * 267_744


def test_a_masked_model_pays_its_output_for_masked_tokens_alone() -> None:
    found = cost(compose(["experiment=blm", "profile=paper", "data=wikitext103_bpe"]), 8)
    assert found is not None
    assert found.flops.output == pytest.approx(0.15 * 3 * 512 * 512 * 2 * 768 * 50_265)


def test_the_unitary_core_doubles_the_state() -> None:
    rotation, unitary = (
        cost(compose(["experiment=alm", "profile=paper", f"encoding={name}"]), 8)
        for name in ("lrpe_orthogonal", "lrpe_unitary")
    )
    assert rotation is not None
    assert unitary is not None
    assert unitary.flops.attention == pytest.approx(rotation.flops.attention * (8 + 6) / 8)
    assert unitary.memory.activations > rotation.memory.activations


@pytest.mark.parametrize("experiment", ["alm", "blm", "glue", "imagenet"])
def test_products_with_weights_are_those_that_torch_counts(experiment: str) -> None:
    config = compose([f"experiment={experiment}", "profile=paper", "attention=softmax", "encoding=none"])
    probe = family_of(config).probe(config)
    assert probe is not None
    with FlopCounterMode(display=False) as counter:
        getattr(probe.model, "features", probe.model)(probe.inputs)
    counts = counter.get_flop_counts()["Global"]
    kinds = ("mm", "addmm", "convolution")
    with_weights = sum(count for kind, count in counts.items() if kind.__name__ in kinds)
    found = cost(config, 8)
    assert found is not None
    assert found.flops.layers == 3 * config.recipe.batch_size * with_weights


def test_images_and_sentences_pay_their_output_once_each() -> None:
    images = cost(compose(["experiment=imagenet", "profile=paper"]), 8)
    sentences = cost(compose(["experiment=glue", "profile=paper", "task=mnli"]), 8)
    assert images is not None
    assert sentences is not None
    assert images.flops.output == pytest.approx(3 * 2048 * 2 * 384 * 1000)
    assert sentences.flops.output == pytest.approx(3 * 32 * 2 * 768 * (768 + 3))
    assert images.memory.state == pytest.approx(16 * 22.05e6, rel=0.02), "DeiT-small has 22 million weights"


def test_memory_grows_with_samples_and_halves_in_half_precision() -> None:
    words = ["experiment=alm", "profile=paper"]
    one, two = (cost(compose(words), samples) for samples in (4, 8))
    half = cost(compose([*words, "recipe.precision=bf16"]), 8)
    assert one is not None
    assert two is not None
    assert half is not None
    assert two.memory.activations == pytest.approx(2 * one.memory.activations, rel=1e-6)
    assert half.memory.activations == pytest.approx(one.memory.activations, rel=1e-6)
    assert two.memory.state == one.memory.state == pytest.approx(16 * 156.0e6, rel=0.01)


def test_an_unknown_vocabulary_has_no_cost() -> None:
    assert cost(compose(["experiment=alm", "profile=demo", "data.folder=/nowhere"]), 4) is None


LARGE = ["model.embed_dim=256", "model.ffn_dim=1024", "model.num_heads=4", "model.num_layers=4", "recipe.max_update=2"]
LARGE += ["recipe.batch_size=8", "engine.samples_per_device=8", "recipe.warmup_updates=1"]
RUNS = {
    "decoder": [*TINY, *LARGE, "recipe.tokens_per_sample=512", "encoding=rope", "recipe.validate_interval_updates=2"],
    "unitary": [*TINY, *LARGE, "recipe.tokens_per_sample=256", "encoding=lrpe_unitary", "recipe.batch_size=16",
                "engine.samples_per_device=16", "recipe.validate_interval_updates=2"],
    "encoder": [*TINY_BLM, *LARGE, "recipe.tokens_per_sample=512", "encoding=lrpe_orthogonal",
                "recipe.validate_interval_updates=2"],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_the_planned_peak_is_within_a_quarter_of_the_measured(name: str, tiny_data: Path, tmp_path: Path) -> None:
    done = run_module("experiments.train", tiny_data, tmp_path, *RUNS[name])
    said = re.search(r"memory +about ([\d.]+) GiB", done.stdout)
    assert said, done.stdout
    measured = record_of(only_run(tmp_path))["peak_memory_bytes"] / 2**30
    assert float(said[1]) == pytest.approx(measured, rel=0.25)
