"""Our config in fairseq's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.config import compose
from experiments.engine import optimizer  # noqa: F401 - registers itself
from experiments.engine.distributed import DistributedContext
from experiments.engine.model_config import model_values
from experiments.engine.translate import accumulation, fairseq_config
from experiments.engine.update_batches import update_batches
from experiments.util.errors import UserError

ONE = DistributedContext(rank=0, local_rank=0, world_size=1, cuda=False)


def test_the_paper_recipe_reaches_fairseq(tmp_path: Path) -> None:
    config = compose(["profile=paper", "encoding=lrpe_unitary", "protocol=published", "seed=5"])
    fairseq = fairseq_config(config, tmp_path, ONE)
    assert fairseq.common.seed == 5
    assert fairseq.task.tokens_per_sample == 512
    assert fairseq.dataset.batch_size * fairseq.optimization.update_freq[0] == 128
    assert fairseq.optimization.max_update == 100_000
    assert fairseq.optimization.lr == [5e-4]
    assert fairseq.optimization.clip_norm == 0.0
    assert fairseq.lr_scheduler.warmup_updates == 8000
    assert fairseq.lr_scheduler.warmup_init_lr == 1e-7
    assert list(fairseq.optimizer.adam_betas) == [0.9, 0.98]
    model = model_values(fairseq.model)
    assert (model["num_layers"], model["embed_dim"], model["ffn_dim"]) == (6, 512, 2048)
    assert (model["absolute"], model["normalizer"]) == ("sinusoidal", "layernorm")
    assert fairseq.model.decay_angles is True


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "amp"])
def test_precision_reaches_fairseq(precision: str, tmp_path: Path) -> None:
    common = fairseq_config(compose([f"recipe.precision={precision}"]), tmp_path, ONE).common
    assert {name for name in ("fp16", "bf16", "amp") if common[name]} == {precision} - {"fp32"}


@pytest.mark.parametrize(
    ("batch", "wanted", "world", "expected"),
    [(128, 8, 1, (8, 16)), (128, 8, 8, (8, 2)), (128, 64, 4, (32, 1)), (4, 8, 2, (2, 1)), (6, 2, 1, (2, 3))],
)
def test_accumulation_keeps_the_effective_batch(batch: int, wanted: int, world: int, expected: tuple[int, int]) -> None:
    config = compose([f"recipe.batch_size={batch}", f"engine.samples_per_device={wanted}"])
    sequences, passes = accumulation(config, world)
    assert (sequences, passes) == expected
    assert sequences * passes * world == batch


def test_a_batch_that_does_not_divide_is_refused_with_one_that_does() -> None:
    config = compose(["recipe.batch_size=12", "engine.samples_per_device=5"])
    with pytest.raises(UserError, match="engine.samples_per_device=4"):
        accumulation(config, 1)
    with pytest.raises(UserError, match="among 5 devices"):
        accumulation(config, 5)


def test_every_other_key_of_fairseq_is_within_reach(tmp_path: Path) -> None:
    config = compose(["+engine.fairseq.common.fp16_init_scale=4", "+engine.fairseq.checkpoint.patience=3"])
    fairseq = fairseq_config(config, tmp_path, ONE)
    assert (fairseq.common.fp16_init_scale, fairseq.checkpoint.patience) == (4, 3)


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("+engine.fairseq.comon.fp16=true", "'common'"),
        ("+engine.fairseq.common.fp16_init_scal=4", "'fp16_init_scale'"),
        ("+engine.fairseq.common.fp16_init_scale=four", "fp16_init_scale=four"),
    ],
)
def test_a_wrong_key_for_fairseq_is_refused(override: str, remedy: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=remedy):
        fairseq_config(compose([override]), tmp_path, ONE)


@pytest.mark.parametrize("schedule", ["inverse_sqrt", "cosine", "polynomial_decay"])
def test_schedules(schedule: str, tmp_path: Path) -> None:
    config = compose([f"recipe.schedule={schedule}", "recipe.max_update=100", "recipe.warmup_updates=10"])
    section = fairseq_config(config, tmp_path, ONE).lr_scheduler
    assert section._name == schedule
    assert section.warmup_updates == 10


def test_the_large_decoder_uses_the_adaptive_loss(tmp_path: Path) -> None:
    fairseq = fairseq_config(compose(["profile=paper", "model=decoder_large"]), tmp_path, ONE)
    assert fairseq.criterion._name == "lrpe_adaptive_loss"
    assert model_values(fairseq.model)["adaptive_cutoffs"] == [20000, 60000]


@pytest.mark.parametrize(("sequences", "batch"), [(41, 4), (40, 8), (3, 8), (9, 3)])
def test_an_update_gets_the_same_sequences_however_it_is_divided(sequences: int, batch: int) -> None:
    whole = update_batches(sequences, batch, batch, seed=1, epoch=2)
    assert sorted(index for update in whole for index in update) == list(range(sequences))
    for devices in (1, 2, 4):
        for a_pass in (1, 2, 3):
            if batch % (devices * a_pass):
                continue
            passes = batch // (devices * a_pass)
            batches = update_batches(sequences, batch, a_pass, seed=1, epoch=2)
            shards = [batches[rank::devices] for rank in range(devices)]
            for number, update in enumerate(whole):
                span = slice(number * passes, (number + 1) * passes)
                dealt = [index for shard in shards for part in shard[span] for index in part]
                assert sorted(dealt) == sorted(update)


def test_the_order_follows_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return [int(index) for part in update_batches(50, 5, 5, seed, epoch) for index in part]

    assert order(1, 1) == order(1, 1)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (1, 2)}) == 4
