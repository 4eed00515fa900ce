"""Our config in fairseq's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fairseq import tasks

from experiments.config import compose
from experiments.engine import optimizer  # noqa: F401 - registers itself
from experiments.engine.model_config import model_values
from experiments.engine.translate import accumulation, fairseq_config
from experiments.engine.update_batches import update_batches
from experiments.util.errors import UserError
from tests.experiments.engine.support import ONE


def paper(data: Path, *overrides: str) -> Any:
    """The paper's profile on a small corpus: an epoch is counted in the data."""
    return compose(["profile=paper", f"data.folder={data / 'wikitext2'}", *overrides])


def test_the_paper_recipe_reaches_fairseq(tiny_data: Path, tmp_path: Path) -> None:
    config = paper(tiny_data, "encoding=lrpe_unitary", "protocol=published", "seed=5")
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


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16", "amp"])
def test_precision_reaches_fairseq(precision: str, tmp_path: Path) -> None:
    common = fairseq_config(compose([f"recipe.precision={precision}"]), tmp_path, ONE).common
    assert {name for name in ("fp16", "bf16", "amp") if common[name]} == {precision} - {"fp32", "tf32"}


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


def test_the_large_decoder_uses_the_adaptive_loss(tiny_data: Path, tmp_path: Path) -> None:
    fairseq = fairseq_config(paper(tiny_data, "model=decoder_large"), tmp_path, ONE)
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


def test_sorting_by_length_moves_samples_within_their_update_alone() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 41)
    whole = update_batches(41, 8, 8, seed=1, epoch=2)
    for size in (1, 2, 4, 8):
        parts = update_batches(41, 8, size, seed=1, epoch=2, lengths=lengths)
        assert np.array_equal(
            np.concatenate(parts), np.concatenate([u[np.argsort(-lengths[u], kind="stable")] for u in whole])
        )


def padding_share(passes: list[np.ndarray], lengths: np.ndarray) -> float:
    """The part of all positions that is padding, every pass as long as its longest sample."""
    return 1 - lengths.sum() / sum(len(part) * lengths[part].max() for part in passes)


def test_sorting_by_length_leaves_little_padding() -> None:
    """Blocks as long as WikiText-103's: about 419 of 512 tokens on average, 512 sequences per update."""
    lengths = 512 - np.random.default_rng(0).exponential(93, 5120).astype(np.int64).clip(0, 500)
    at_random, in_order = (
        padding_share(update_batches(5120, 512, 4, seed=1, epoch=1, lengths=given), lengths)
        for given in (None, lengths)
    )
    assert at_random > 0.1
    assert in_order < 0.005


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["experiment=blm", "protocol=published"], 4),
        (["experiment=blm", "protocol=published", "protocol.mask_padding=true"], 2),
        (["experiment=blm", "protocol=controlled"], 2),
        (["experiment=blm", "protocol=controlled", "protocol.mask_padding=false", "recipe.samples_per_pass=8"], 8),
        (["experiment=alm", "protocol=published"], 2),
        (["experiment=alm", "protocol=published", "encoding=spe"], 4),
        (["experiment=glue", "protocol=published", "task=pydoc_order", "pretraining.start=scratch"], 32),
    ],
)
def test_the_recipe_says_what_shares_a_pass_where_that_changes_the_result(overrides: list[str], expected: int) -> None:
    config = compose([*overrides, "engine.samples_per_device=2"])
    samples, passes = accumulation(config, 1)
    assert (samples, samples * passes) == (expected, config.recipe.batch_size)


def test_devices_that_cannot_keep_the_passes_are_refused() -> None:
    config = compose(["experiment=blm", "protocol=published"])
    assert accumulation(config, 4) == (4, 1)
    with pytest.raises(UserError, match="recipe.samples_per_pass=4 does not divide the 2 samples of each of 8 devices"):
        accumulation(config, 8)


def test_the_paper_recipes_validate_once_an_epoch(tiny_data: Path, tmp_path: Path) -> None:
    for experiment in ("alm", "blm"):
        config = paper(tiny_data, f"experiment={experiment}", "recipe.batch_size=2", "recipe.tokens_per_sample=32")
        fairseq = fairseq_config(config, tmp_path, ONE)
        task = tasks.setup_task(fairseq.task)
        task.load_dataset("train")
        epoch = len(update_batches(len(task.dataset("train")), 2, 2, seed=1, epoch=1))
        assert epoch > 20
        assert fairseq.dataset.validate_interval_updates == fairseq.checkpoint.save_interval_updates == epoch
        words = ["recipe.validate_interval_updates=7", "recipe.validate_interval_epochs=null"]
        given = paper(tiny_data, f"experiment={experiment}", *words)
        assert fairseq_config(given, tmp_path, ONE).dataset.validate_interval_updates == 7


def test_an_epoch_of_wikitext_103_in_words_is_1576_updates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = {"splits": {"train": {"tokens": 103_227_021}}}  # the published count, ends of lines included
    monkeypatch.setattr("experiments.engine.families.alm.family.load_manifest", lambda folder: manifest)
    assert fairseq_config(compose(["profile=paper"]), tmp_path, ONE).dataset.validate_interval_updates == 1576


@pytest.mark.parametrize("experiment", ["alm", "blm"])
def test_a_run_validates_by_one_interval(experiment: str) -> None:
    updates, epochs = "recipe.validate_interval_updates", "recipe.validate_interval_epochs"
    with pytest.raises(UserError, match="both null: a run that never validates keeps no checkpoint"):
        compose([f"experiment={experiment}", f"{updates}=null", f"{epochs}=null"])
    with pytest.raises(UserError, match=f"{updates}=100 and {epochs}=2: only one can be; add the other as ...=null"):
        compose([f"experiment={experiment}", f"{updates}=100", f"{epochs}=2"])
