"""The chunked criteria log and train what fairseq's ``cross_entropy`` and ``masked_lm`` do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import criterions, tasks, utils
from omegaconf import DictConfig

from experiments.config import compose
from experiments.engine.distributed import DistributedContext
from experiments.engine.families import family_of
from experiments.engine.translate import fairseq_config
from tests.experiments.conftest import TINY, TINY_BLM, only_run, run_train
from tests.experiments.engine.support import curve_of

FAIRSEQ_CRITERION = {"alm": "cross_entropy", "blm": "masked_lm"}
WORDS = {"alm": TINY, "blm": TINY_BLM}


@pytest.fixture(params=["alm", "blm"])
def setting(request: pytest.FixtureRequest, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(fairseq's config, task, model in float64, a batch) of a tiny run."""
    monkeypatch.setenv("LRPE_DATA", str(tiny_data))
    config = compose([*WORDS[request.param], "protocol=controlled", "model.dropout=0", f"paths.results={tmp_path}"])
    whole = fairseq_config(config, tmp_path, DistributedContext(0, 0, 1, cuda=False))
    task = tasks.setup_task(whole.task)
    task.load_dataset("valid")
    torch.manual_seed(0)
    model = task.build_model(whole.model).double()
    batches = task.get_batch_iterator(task.dataset("valid"), max_sentences=4, required_batch_size_multiple=1)
    return whole, task, model, list(batches.next_epoch_itr(shuffle=False))


def _criterion(task: Any, name: str) -> Any:
    own = {"tpu": False} if "masked" in name else {"sentence_avg": False}
    return criterions.build_criterion(DictConfig({"_name": name, **own}), task)


def test_the_family_trains_by_the_chunked_criterion(setting: Any) -> None:
    config = setting[0]
    assert config.criterion._name in ("lrpe_cross_entropy", "lrpe_masked_cross_entropy")


def test_loss_gradients_and_log_are_fairseqs(setting: Any) -> None:
    config, task, model, batches = setting
    family = "alm" if config.model._name == "lrpe_lm" else "blm"
    ours = _criterion(task, config.criterion._name)
    theirs = _criterion(task, FAIRSEQ_CRITERION[family])
    assert len(batches) > 1
    for sample in batches:  # the last has padding
        found = _step(model, ours, sample)
        expected = _step(model, theirs, sample)
        assert found[0] == pytest.approx(expected[0], rel=1e-6), "fairseq's masked_lm sums in float32"
        assert found[1] == expected[1]
        assert found[2].keys() == expected[2].keys()
        for name in expected[2]:
            assert float(found[2][name]) == pytest.approx(float(expected[2][name]), rel=1e-6)
        for name, gradient in expected[3].items():
            torch.testing.assert_close(found[3][name], gradient, rtol=1e-5, atol=1e-6, msg=name)


def _step(model: Any, criterion: Any, sample: dict[str, Any]) -> tuple[float, int, dict[str, Any], dict[str, Any]]:
    model.zero_grad()
    loss, size, logged = criterion(model, utils.move_to_cpu(sample))
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return float(loss.detach()), int(size), logged, gradients


def test_a_batch_without_masked_tokens_trains_nothing(tiny_data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("LRPE_DATA", str(tiny_data))
    config = compose([*TINY_BLM, "protocol=controlled", f"paths.results={tmp_path}"])
    task = tasks.setup_task(DictConfig(family_of(config).task(config)))
    model = task.build_model(fairseq_config(config, tmp_path, DistributedContext(0, 0, 1, cuda=False)).model)
    tokens = torch.full((2, 8), 7)
    sample = {
        "net_input": {"src_tokens": tokens, "src_lengths": torch.tensor([8, 8])},
        "target": torch.full_like(tokens, task.source_dictionary.pad()),
        "ntokens": 16,
        "nsentences": 2,
    }
    loss, size, _, gradients = _step(model, _criterion(task, "lrpe_masked_cross_entropy"), sample)
    assert (loss, size) == (0.0, 0)
    assert gradients, "every rank of DDP must have a gradient for every weight"
    assert all(not gradient.any() for gradient in gradients.values())


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "amp"])
def test_a_run_in_half_precision_logs_fairseqs_losses(precision: str, tiny_data: Path, tmp_path: Path) -> None:
    words = [f"recipe.precision={precision}", "recipe.max_update=4", "model.dropout=0", "encoding=rope"]
    run_train(tiny_data, tmp_path / "half", *words)
    run_train(tiny_data, tmp_path / "whole", *words[1:])
    half, whole = (curve_of(only_run(tmp_path / name)) for name in ("half", "whole"))
    assert [row["loss"] for row in half] == pytest.approx([row["loss"] for row in whole], rel=0.01)
