"""What fairseq, numpy, timm and torchvision do without ``experiments.engine.patches``: a test that fails says that its
patch is no longer needed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fairseq import checkpoint_utils, file_io
from fairseq.data import TokenBlockDataset
from fairseq.distributed import utils as distributed
from fairseq.logging import progress_bar
from fairseq.optim.amp_optimizer import AMPOptimizer
from fairseq.tasks.fairseq_task import FairseqTask
from fairseq.trainer import Trainer
from fairseq_cli import train as fairseq_train
from PIL import Image
from torch import nn

from experiments.engine import checkpoints, patches

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="the patch is for machines without a GPU")


def pristine(module: ModuleType) -> Any:
    """The module as its file has it, beside the one in use, which may be patched."""
    spec = importlib.util.spec_from_file_location(module.__name__, str(module.__file__))
    assert spec is not None
    assert spec.loader is not None
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    return fresh


def test_numpy_has_no_compat_and_fairseq_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(np, "compat")
    sizes, tokens = [2, 3], [torch.tensor([4, 2]), torch.tensor([5, 6, 2])]

    def blocks() -> TokenBlockDataset:
        return TokenBlockDataset(tokens, sizes, block_size=None, pad=1, eos=2, break_mode="eos")

    with pytest.raises(AttributeError, match="compat"):
        blocks()
    patches.restore_numpy_compat()
    assert len(blocks()) == 2


@NO_GPU
def test_fairseq_gathers_objects_through_a_gpu(tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        with pytest.raises((TypeError, RuntimeError), match="cuda|CUDA"):
            pristine(distributed).all_gather_list("rank 0")
        assert distributed.all_gather_list("rank 0") == ["rank 0"]
    finally:
        torch.distributed.destroy_process_group()


def test_fairseq_writes_on_in_a_checkpoint_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []

    def save(state: Any, file: Any) -> None:
        file.write(b"half")
        attempts.append(file)
        if len(attempts) == 1:
            raise OSError("the disk was away")

    fresh, path = pristine(checkpoint_utils), tmp_path / "checkpoint_last.pt"
    path.write_bytes(b"the old one")
    monkeypatch.setattr(torch, "save", save)
    monkeypatch.setattr(fresh.time, "sleep", lambda seconds: None)
    fresh.torch_persistent_save({}, str(path))
    assert path.read_bytes() == b"halfhalf"

    path.write_bytes(b"the old one")
    attempts.clear()
    with pytest.raises(OSError, match="the disk was away"):
        checkpoints.write({}, str(path))
    assert path.read_bytes() == b"the old one"


def test_fairseq_copies_into_the_checkpoint_that_is_there(tmp_path: Path) -> None:
    new, old = tmp_path / "checkpoint_1_4.pt", tmp_path / "checkpoint_last.pt"
    for path in (new, old):
        path.write_bytes(b"a checkpoint")
    before = old.stat().st_ino
    pristine(file_io).PathManager.copy(str(new), str(old), overwrite=True)
    assert old.stat().st_ino == before  # overwritten in place: a kill in the middle leaves neither
    checkpoints.install()
    file_io.PathManager.copy(str(new), str(old), overwrite=True)
    assert old.stat().st_ino != before


def test_fairseq_s_loop_knows_no_signals_and_a_validation_that_is_left_saves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fresh, saved = pristine(fairseq_train), []
    assert not hasattr(fresh, "signal")

    def leave(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fresh, "validate", leave)
    monkeypatch.setattr(fresh.checkpoint_utils, "save_checkpoint", lambda *_: saved.append(1))
    trainer = SimpleNamespace(get_num_updates=lambda: 4, cumulative_training_time=lambda: 0.0)
    cfg = SimpleNamespace(
        optimization=SimpleNamespace(max_update=4, stop_time_hours=0),
        checkpoint=SimpleNamespace(save_interval=1, save_interval_updates=4),
        dataset=SimpleNamespace(
            validate_interval=1, validate_interval_updates=4, validate_after_updates=0, disable_validation=False
        ),
    )
    with pytest.raises(KeyboardInterrupt):
        fresh.validate_and_save(cfg, trainer, None, SimpleNamespace(epoch=1), ["valid"], end_of_epoch=False)
    assert not saved


def test_fairseq_s_trainer_ends_a_run_at_the_first_bad_gradient_and_is_no_option() -> None:
    assert 'raise FloatingPointError("gradients are Nan/Inf")' in inspect.getsource(Trainer.train_step)
    assert "trainer = Trainer(cfg, task, model, criterion, quantizer)" in inspect.getsource(pristine(fairseq_train))


def test_fairseq_s_progress_bars_are_a_closed_list() -> None:
    with pytest.raises(ValueError, match="Unknown log format: history"):
        pristine(progress_bar).progress_bar([], log_format="history")


def test_fairseq_keeps_the_best_score_of_a_run_on_its_function() -> None:
    fresh = pristine(fairseq_train)
    cfg = SimpleNamespace(checkpoint=SimpleNamespace(patience=1, maximize_best_checkpoint_metric=False))
    assert not fresh.should_stop_early(cfg, 1.0)
    assert fresh.should_stop_early(cfg, 2.0)  # of another run

    checkpoint_utils.save_checkpoint.best = fairseq_train.should_stop_early.best = 1.0
    patches.forget_previous_run()
    assert not hasattr(checkpoint_utils.save_checkpoint, "best")
    assert not hasattr(fairseq_train.should_stop_early, "best")


class Criterion(nn.Module):
    """Says in which type its model multiplied."""

    def forward(self, model: nn.Module, sample: torch.Tensor) -> tuple[torch.Tensor, int, torch.dtype]:
        output = model(sample)
        return output.sum(), 1, output.dtype


class Model(nn.Linear):
    def set_num_updates(self, number: int) -> None:
        pass


@NO_GPU
def test_fairseq_s_amp_does_nothing_on_a_cpu() -> None:
    criterion, model, optimizer = Criterion(), Model(2, 2), AMPOptimizer.__new__(AMPOptimizer)
    optimizer.backward = lambda loss: None  # type: ignore[method-assign]

    def trained() -> torch.dtype:
        with pytest.warns(Warning, match="CUDA|cuda"):
            return FairseqTask(SimpleNamespace()).train_step(torch.ones(1, 2), model, criterion, optimizer, 1)[2]

    assert trained() == torch.float32
    patches.autocast_on_cpu(criterion)
    assert trained() == torch.bfloat16
    assert FairseqTask(SimpleNamespace()).valid_step(torch.ones(1, 2), model, criterion)[2] == torch.float32


def test_timm_posterizes_to_0_bits_which_pillow_refuses() -> None:
    patches.import_torchvision()
    from timm.data import auto_augment

    image = Image.new("RGB", (2, 2), (255, 200, 100))
    with pytest.raises(ValueError, match="bits"):
        pristine(auto_augment).NAME_TO_OP["PosterizeIncreasing"](image, 0)
    patches.posterize_to_black()
    posterize = auto_augment.NAME_TO_OP["PosterizeIncreasing"]
    assert posterize(image, 0).getextrema() == ((0, 0),) * 3
    assert np.array_equal(np.asarray(posterize(image, 3)), np.asarray(image) & 0b11100000)


@pytest.mark.skipif(
    torch.version.cuda is not None or "+cpu" in importlib.metadata.version("torchvision"),
    reason="torchvision fits this torch",
)
def test_torchvision_built_for_cuda_does_not_import_beside_a_torch_for_cpus() -> None:
    done = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, text=True, check=False)
    assert "operator torchvision::nms does not exist" in done.stderr
