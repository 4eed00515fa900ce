"""engine.samples_per_device=auto: the search, its cache, and that no result depends on it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from experiments.config import compose, identity
from experiments.engine import samples
from experiments.engine.distributed import DistributedContext
from experiments.engine.samples import candidates, largest_that_fits, settled, trial_step, with_samples
from experiments.engine.translate import accumulation
from experiments.util.errors import UserError
from tests.experiments.conftest import TINY, TINY_BLM

CPU = DistributedContext(rank=0, local_rank=0, world_size=1, cuda=False)
CARD = DistributedContext(rank=0, local_rank=0, world_size=1, cuda=True)
AUTO = "engine.samples_per_device=auto"


def card_of(limit: int, tried: list[int]) -> Any:
    """A stand-in for a step on a card whose memory holds ``limit`` samples."""

    def run(size: int) -> None:
        tried.append(size)
        if size > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")

    return run


@pytest.mark.parametrize(("limit", "expected"), [(0, None), (1, 1), (5, 4), (32, 32), (1000, 32)])
def test_the_largest_power_of_two_below_the_limit(limit: int, expected: int | None) -> None:
    tried: list[int] = []
    assert largest_that_fits(candidates(96), card_of(limit, tried)) == expected
    assert tried == candidates(96)[: len(tried)], "ascending, and nothing after the first that does not fit"


@pytest.mark.parametrize(("share", "expected"), [(1, [1]), (12, [1, 2, 4]), (128, [1, 2, 4, 8, 16, 32, 64, 128])])
def test_candidates_divide_the_share(share: int, expected: list[int]) -> None:
    assert candidates(share) == expected


def test_other_errors_are_not_taken_for_a_full_card() -> None:
    def broken(size: int) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        largest_that_fits([1, 2], broken)


@pytest.fixture
def on_card(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A card that holds two samples; the sizes that were tried on it."""
    tried: list[int] = []
    run = card_of(2, tried)
    monkeypatch.setenv("LRPE_DATA", str(tiny_data))
    monkeypatch.setenv("LRPE_RESULTS", str(tmp_path))
    monkeypatch.setattr(samples, "trial_step", lambda config, size, place: run(size))
    facts = SimpleNamespace(name="a card", total_memory=24 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: facts)
    for name in ("set_per_process_memory_fraction", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda *arguments: None)
    return tried


def test_found_once_for_a_card_and_identity(on_card: list[int], tmp_path: Path) -> None:
    config = compose([*TINY, AUTO, "encoding=rope"])
    assert with_samples(config, CARD).engine.samples_per_device == 2
    assert on_card == [1, 2, 4]
    assert with_samples(compose([*TINY, AUTO, "encoding=rope", "seed=7"]), CARD).engine.samples_per_device == 2
    assert on_card == [1, 2, 4], "another seed is the same identity"
    with_samples(compose([*TINY, AUTO, "encoding=none"]), CARD)
    assert on_card == [1, 2, 4] * 2
    (first, _) = json.loads((tmp_path / samples.CACHE).read_text())
    assert first == f"a card, 24 GiB | {identity(config)} | 4 samples of an update"


def test_other_ranks_read_what_the_first_found(on_card: list[int]) -> None:
    config = compose([*TINY, AUTO])
    pair = [DistributedContext(rank=rank, local_rank=rank, world_size=2, cuda=True) for rank in (0, 1)]
    assert [with_samples(config, place).engine.samples_per_device for place in pair] == [2, 2]
    assert on_card == [1, 2]


def test_nothing_fits(on_card: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    run = card_of(0, on_card)
    monkeypatch.setattr(samples, "trial_step", lambda config, size, place: run(size))
    with pytest.raises(UserError, match="not one sample"):
        with_samples(compose([*TINY, AUTO]), CARD)


def test_a_cpu_and_a_recipe_that_fixes_the_pass_try_nothing(on_card: list[int]) -> None:
    config = compose([*TINY, AUTO])
    assert with_samples(config, CPU) is config
    assert accumulation(config, 1) == (4, 1)
    fixed = compose([*TINY_BLM, AUTO, "protocol=published"])
    assert with_samples(fixed, CARD) is fixed
    assert on_card == []


def test_auto_is_no_part_of_the_identity(on_card: list[int]) -> None:
    assert identity(compose([*TINY, AUTO])) == identity(compose([*TINY, "engine.samples_per_device=2"]))


@pytest.mark.parametrize(("batch", "expected"), [(6, (6, 1)), (12, (6, 2)), (128, (8, 16))])
def test_on_a_cpu_auto_is_at_most_the_familys_number(batch: int, expected: tuple[int, int]) -> None:
    assert accumulation(compose([AUTO, f"recipe.batch_size={batch}"]), 1) == expected


@pytest.mark.parametrize("words", [["many"], ["2.5"], ["null"]])
def test_what_is_neither_auto_nor_a_number_is_refused(words: list[str]) -> None:
    with pytest.raises(UserError, match=r"engine\.samples_per_device"):
        compose([f"engine.samples_per_device={words[0]}"])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("words", [TINY, TINY_BLM])
def test_a_trial_is_a_whole_step(
    words: list[str], precision: str, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRPE_DATA", str(tiny_data))
    trial_step(compose([*words, AUTO, f"recipe.precision={precision}"]), 2, CPU)


@pytest.mark.parametrize(
    ("backend", "place", "expected"),
    [("torch", CARD, True), ("fla", CARD, False), ("none", CARD, True), ("torch", CPU, False)],
)
def test_auto_compiles_on_a_card_where_no_graph_displaces_flas_kernels(
    backend: str, place: DistributedContext, expected: bool, on_card: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "attention_backend", lambda config, cuda: backend)
    config = compose([*TINY, "engine.compile=auto", "engine.samples_per_device=2"])
    assert settled(config, place).engine.compile is expected
    assert settled(compose([*TINY, "engine.compile=true"]), place).engine.compile is True


def test_compile_is_true_false_or_auto() -> None:
    with pytest.raises(UserError, match=r"engine\.compile=perhaps: expected true, false or auto"):
        compose(["engine.compile=perhaps"])
