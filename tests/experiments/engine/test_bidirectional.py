"""Masked language modeling through the real entry point: whole, resumed, scored, and its blocks and masks."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq.data import FairseqDataset
from hypothesis import given
from hypothesis import strategies as st

from experiments.config import compose
from experiments.engine.families import family_of
from experiments.engine.families.blm.pieces import Pieces
from experiments.engine.families.blm.task import LRPEMaskedLMTask
from experiments.engine.model_config import model_values
from experiments.engine.translate import fairseq_config
from tests.experiments.conftest import TINY_BLM, only_run, run_module
from tests.experiments.engine.support import (
    ONE,
    close_weights,
    curve_of,
    kill_at,
    record_of,
    same_weights,
    weights_of,
)

ENCODING = "encoding=lrpe_unitary_learned"


@pytest.fixture(scope="module")
def unbroken(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("masked")
    run_module("experiments.train", tiny_data, results, *TINY_BLM, ENCODING)
    return only_run(results)


def test_a_run_leaves_a_whole_record(unbroken: Path) -> None:
    record = record_of(unbroken)
    assert (record["status"], record["run"]["experiment"], record["updates"]) == ("finished", "blm", 12)
    assert record["tokens"] == 12 * 4 * 32
    metrics = record["metrics"]
    assert metrics["test_perplexity"] == pytest.approx(math.exp(metrics["test_loss"]))
    rows = curve_of(unbroken)
    best = min(row["loss"] for row in rows if row["split"] == "valid")
    assert metrics["valid_loss"] == pytest.approx(best, abs=1e-3), "the same masks, and no token is skipped"
    losses = [row["loss"] for row in rows if row["split"] == "train"]
    assert losses[-1] < losses[0]


def test_killed_and_restarted_equals_unbroken(unbroken: Path, tiny_data: Path, tmp_path: Path) -> None:
    kill_at(6, tiny_data, tmp_path, [*TINY_BLM, ENCODING])
    run_module("experiments.train", tiny_data, tmp_path, *TINY_BLM, ENCODING)
    broken = only_run(tmp_path)
    assert same_weights(weights_of(broken), weights_of(unbroken))
    assert curve_of(broken) == curve_of(unbroken)
    assert record_of(broken)["metrics"] == record_of(unbroken)["metrics"]


def test_accumulation_equals_the_whole_batch(tiny_data: Path, tmp_path: Path) -> None:
    plain = [*TINY_BLM, "encoding=rope", "model.dropout=0", "recipe.max_update=4"]
    for name, size in (("whole", 4), ("parts", 1)):
        run_module("experiments.train", tiny_data, tmp_path / name, *plain, f"engine.samples_per_device={size}")
    close_weights(weights_of(only_run(tmp_path / "whole")), weights_of(only_run(tmp_path / "parts")))


@pytest.mark.parametrize("protocol", ["published", "controlled"])
def test_a_result_does_not_depend_on_how_many_sequences_a_device_takes(
    protocol: str, tiny_data: Path, tmp_path: Path
) -> None:
    """Blocks differ in length, and under the published protocol padded keys take part."""
    plain = [*TINY_BLM, "encoding=rope", f"protocol={protocol}", "model.dropout=0", "recipe.max_update=4"]
    plain += ["recipe.samples_per_pass=2", "model.attention_dropout=0"]
    for size in (4, 1):
        run_module("experiments.train", tiny_data, tmp_path / str(size), *plain, f"engine.samples_per_device={size}")
    whole, parts = (curve_of(only_run(tmp_path / str(size))) for size in (4, 1))
    for left, right in zip(whole, parts, strict=True):
        if left["split"] == "train":
            assert left["loss"] == pytest.approx(right["loss"], rel=2e-6)
    close_weights(weights_of(only_run(tmp_path / "4")), weights_of(only_run(tmp_path / "1")))


def test_a_checkpoint_is_scored_alike_whatever_it_is_padded_to(unbroken: Path, tiny_data: Path) -> None:
    said = [
        run_module("experiments.evaluate", tiny_data, unbroken, f"run={unbroken}", f"samples={samples}").stdout
        for samples in (1, 7)
    ]
    perplexity = f"{record_of(unbroken)['metrics']['test_perplexity']:.2f}"
    assert [f"test: perplexity {perplexity}" in text for text in said] == [True, True]


def test_a_masked_model_neither_continues_a_text_nor_has_a_context_window(unbroken: Path, tiny_data: Path) -> None:
    for module, word, message in (
        ("experiments.generate", "prompt=word1", "experiment=alm"),
        ("experiments.evaluate", "context_window=3", "only checkpoints of experiment=alm"),
    ):
        done = run_module(module, tiny_data, unbroken, f"run={unbroken}", word, check=False)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "overrides",
    [
        ["attention=softmax", "encoding=lrpe_orthogonal"],
        ["protocol=published", "encoding=permuteformer"],
        ["protocol=published", "encoding=spe"],
        ["protocol=published", "encoding=absolute"],
        ["encoding=lrpe_d", "model.normalize_before=true"],
    ],
)
def test_other_models_train(overrides: list[str], tiny_data: Path, tmp_path: Path) -> None:
    run_module("experiments.train", tiny_data, tmp_path, *TINY_BLM, *overrides, "recipe.learning_rate=1e-2")
    losses = [row["loss"] for row in curve_of(only_run(tmp_path)) if row["split"] == "train"]
    assert sum(losses[-3:]) < sum(losses[:3])


def test_the_paper_recipe_reaches_fairseq(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRPE_DATA", str(tiny_data))
    words = ["experiment=blm", "profile=paper", "data=wikitext2", "protocol=published", "encoding=lrpe_unitary"]
    config = compose(words)
    fairseq = fairseq_config(config, tmp_path, ONE)
    assert (fairseq.task.mask_prob, fairseq.task.sample_break_mode, fairseq.task.tokens_per_sample) == (
        0.15,
        "complete",
        512,
    )
    assert fairseq.dataset.batch_size * fairseq.optimization.update_freq[0] == 512
    assert (fairseq.lr_scheduler._name, fairseq.lr_scheduler.total_num_update) == ("polynomial_decay", 50_000)
    assert [model_values(fairseq.model)[name] for name in ("absolute", "mask_padding", "normalize_before")] == [
        "learned",
        False,
        False,
    ]
    with torch.device("meta"):
        layers = family_of(config).build(config).encoder.layers
    assert len(layers) == 12
    assert not layers[0].attention.causal


def _task(tiny_data: Path, seed: int) -> LRPEMaskedLMTask:
    config = compose([*TINY_BLM, f"data.folder={tiny_data / 'wikitext2'}", f"seed={seed}"])
    return LRPEMaskedLMTask.setup_task(fairseq_config(config, tiny_data / "unused", ONE).task)


def _targets(task: LRPEMaskedLMTask, split: str, epoch: int) -> list[list[int]]:
    dataset = task.dataset(split)
    dataset.set_epoch(epoch)
    return [dataset[index]["target"].tolist() for index in range(8)]


def test_training_is_masked_by_seed_and_epoch_and_evaluation_always_alike(tiny_data: Path) -> None:
    one, two = _task(tiny_data, 1), _task(tiny_data, 2)
    for task in (one, two):
        for split in ("train", "valid"):
            task.load_dataset(split)
    assert _targets(one, "valid", 0) == _targets(two, "valid", 0)
    assert _targets(one, "train", 1) == _targets(one, "train", 1)
    assert _targets(one, "train", 1) != _targets(one, "train", 2)
    assert _targets(one, "train", 1) != _targets(two, "train", 1)


def test_blocks_hold_every_token_and_none_is_too_long(tiny_data: Path) -> None:
    task = _task(tiny_data, 1)
    task.load_dataset("train")
    dataset = task.dataset("train")
    samples = [dataset[index] for index in range(len(dataset))]
    masked = [(sample["net_input.src_tokens"], sample["target"]) for sample in samples]
    inputs = [torch.where(target == task.source_dictionary.pad(), tokens, target) for tokens, target in masked]
    assert max(map(len, inputs)) <= 32
    assert all(int(tokens[0]) == task.source_dictionary.bos() for tokens in inputs)
    words = (tiny_data / "source" / "wiki.train.tokens").read_text().split("\n")[:-1]
    assert sum(map(len, inputs)) - len(inputs) == sum(len(line.split()) + 1 for line in words)


class _Lines(FairseqDataset):
    def __init__(self, lines: list[list[int]]) -> None:
        self.lines = [torch.tensor(line) for line in lines]
        self.sizes = np.array([len(line) for line in lines], dtype=np.uint16)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.lines[index]

    def __len__(self) -> int:
        return len(self.lines)


@given(st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=20), min_size=1, max_size=8), st.integers(1, 7))
def test_pieces_are_the_lines_cut(lines: list[list[int]], longest: int) -> None:
    pieces = Pieces(_Lines(lines), longest)
    items = [pieces[index].tolist() for index in range(len(pieces))]
    assert [len(item) for item in items] == pieces.sizes.tolist()
    assert 1 <= min(map(len, items)) <= max(map(len, items)) <= longest
    assert [token for item in items for token in item] == [token for line in lines for token in line]
    whole = [line for line in lines if len(line) <= longest]
    assert all(line in items for line in whole), "a line that fits stays whole"


def test_fairseq_s_own_task_builds_the_model(tiny_data: Path) -> None:
    task = _task(tiny_data, 1)
    config = compose([*TINY_BLM, f"data.folder={tiny_data / 'wikitext2'}"])
    section = fairseq_config(config, tiny_data / "unused", ONE).model
    model = task.build_model(section)
    tokens = torch.tensor([[0, 5, 6, 2]])
    logits, _ = model(tokens, masked_tokens=torch.tensor([[False, True, False, False]]))
    assert logits.shape == (1, len(task.source_dictionary))
    whole, _ = model(tokens)
    assert whole.shape == (1, 4, len(task.source_dictionary))
    probabilities = model.get_normalized_probs((whole, {}), log_probs=False)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(1, 4))
