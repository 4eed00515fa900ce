"""Every assignment into a module that is not ours, each with its reason.

``tests/experiments/engine/test_patches.py`` shows for each what happens without it, and fails where it is no longer
needed. :func:`install` makes those that any use of fairseq needs; a training run makes the others for itself.
"""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

LOGGER = logging.getLogger("fairseq")
_OPERATOR = "{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[torch.library.Library] = []  # a library's declarations live as long as it does


def install() -> None:
    """fairseq in this process: quiet while it is imported (it names optional packages that none of our tasks needs; a
    run's log hears it again), on numpy 2, and without a GPU, for which its loaders pin memory all the same."""
    LOGGER.setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="'pin_memory' argument is set as true")
    restore_numpy_compat()
    if not torch.cuda.is_available():
        gather_on_cpu()


def restore_numpy_compat() -> None:
    """fairseq's line-by-line blocks (``sample_break_mode=eos``) use ``np.compat.long``, which numpy 2 removed.

    https://github.com/facebookresearch/fairseq/issues/4945 is about the aliases that went before it.
    """
    if not hasattr(np, "compat"):
        np.compat = SimpleNamespace(long=int)  # pyright: ignore[reportAttributeAccessIssue] - that is the point


def gather_on_cpu() -> None:
    """fairseq's processes exchange objects through a GPU's memory, whatever ``--cpu`` says, and of 16 KiB at most.

    https://github.com/facebookresearch/fairseq/issues/2879
    """
    from fairseq.distributed import utils

    utils.all_gather_list = _gather


def _gather(data: Any, group: Any = None, max_size: int = 0) -> list[Any]:
    """The ``data`` of every process, in the order of their ranks; of any size."""
    gathered: list[Any] = [None] * torch.distributed.get_world_size(group)
    torch.distributed.all_gather_object(gathered, data, group=group)
    return gathered


def replace_checkpoint_files(write: Callable[..., None], copy: Callable[..., bool]) -> None:
    """fairseq writes a checkpoint, and copies it to its other names, into the file that it replaces, and after a
    failure tries again at the end of what it has written: a kill or a full disk leaves no checkpoint at all.

    https://github.com/facebookresearch/fairseq/issues/2684
    """
    from fairseq import checkpoint_utils
    from fairseq.file_io import PathManager

    checkpoint_utils.torch_persistent_save = write
    PathManager.copy = staticmethod(copy)


def replace_training_loop(train: Callable[..., Any], validate_and_save: Callable[..., Any], load: Any) -> None:
    """fairseq knows no signals: it saves nothing when it is asked to stop, and a validation that is left early leaves
    no checkpoint. There is no hook; the functions are called by their names in ``fairseq_cli.train``.

    Args:
        train, validate_and_save: of ``fairseq_cli.train``.
        load: ``fairseq.checkpoint_utils.load_checkpoint``.
    """
    from fairseq import checkpoint_utils
    from fairseq_cli import train as fairseq_train

    fairseq_train.train = train
    fairseq_train.validate_and_save = validate_and_save
    checkpoint_utils.load_checkpoint = load


def replace_trainer(trainer: Callable[..., Any]) -> None:
    """fairseq's trainer ends a run at the first gradient that is not finite, and has no option for another class."""
    from fairseq_cli import train as fairseq_train

    fairseq_train.Trainer = trainer


def replace_progress_bar(build: Callable[..., Any]) -> None:
    """fairseq's progress bars are a closed list (``--log-format``); ours writes the history."""
    from fairseq.logging import progress_bar

    progress_bar.progress_bar = build


def forget_previous_run() -> None:
    """fairseq keeps the best score on its functions; a second run in the same process must not inherit it."""
    from fairseq import checkpoint_utils
    from fairseq_cli import train as fairseq_train

    vars(checkpoint_utils.save_checkpoint).pop("best", None)
    for name in ("best", "num_runs"):
        vars(fairseq_train.should_stop_early).pop(name, None)


def autocast_on_cpu(criterion: torch.nn.Module) -> None:
    """fairseq's ``amp`` is ``torch.cuda.amp``, which does nothing on a CPU: here the training passes of a criterion run
    under the CPU's autocast to bfloat16, and validations in float32, as under fairseq's amp on a GPU."""
    forward = criterion.forward

    def mixed(model: torch.nn.Module, sample: Any, *arguments: Any, **options: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=model.training):
            return forward(model, sample, *arguments, **options)

    criterion.forward = mixed


def import_torchvision() -> None:
    """Import torchvision, after declaring two of its operators if it fails without them.

    PyPI's torchvision is built for CUDA. Beside a CPU-only torch its compiled operators do not load, which it
    tolerates, except that while it is imported it registers shape functions for ``nms`` and ``qnms``, and torch refuses
    a shape function of an operator that does not exist (https://github.com/pytorch/vision/issues/9085). Nothing that
    classifies images calls them (they suppress overlapping boxes of detectors); calling one still fails, saying so.

    Raises:
        RuntimeError: it fails for another reason.
        ImportError: it is not installed.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, name):
                library.define(_OPERATOR.format(name=name))
        _declared.append(library)
        importlib.import_module("torchvision")


def posterize_to_black() -> None:
    """Let timm's posterizing operations keep 0 bits, if Pillow does not.

    At its full magnitude timm's ``PosterizeIncreasing`` (the ``inc1`` of DeiT's policy) keeps 0 bits of every pixel: a
    black image. Pillow refuses 0 bits since version 13, so that a training run would end at the first such draw, after
    some hundred images. Here 0 bits mean what they meant to Pillow before.
    """
    from PIL import Image, ImageOps
    from timm.data import auto_augment

    try:
        ImageOps.posterize(Image.new("RGB", (1, 1)), 0)
    except ValueError:
        for name in [name for name in auto_augment.NAME_TO_OP if name.startswith("Posterize")]:
            auto_augment.NAME_TO_OP[name] = _posterize


def _posterize(image: Any, bits_to_keep: int, **_: Any) -> Any:
    """The PIL image with ``bits_to_keep`` bits of each channel, 0 to 8."""
    from PIL import Image, ImageOps

    if bits_to_keep >= 8:
        return image
    return ImageOps.posterize(image, bits_to_keep) if bits_to_keep > 0 else Image.new(image.mode, image.size)
