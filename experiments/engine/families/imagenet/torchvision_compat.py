"""Makes ``import torchvision`` work beside a CPU-only torch; does nothing where it works already.

PyPI's torchvision is built for CUDA. Beside a CPU-only torch its compiled operators do not load, which torchvision
tolerates, except that while it is imported it registers shape functions for two of them, ``nms`` and ``qnms``, and
torch refuses a shape function of an operator that does not exist. So their schemas are declared here first. Nothing
that classifies images calls them (they suppress overlapping boxes of detectors); calling one still fails, saying so.
"""

from __future__ import annotations

import importlib
import sys

import torch

SCHEMA = "{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[torch.library.Library] = []  # a library's declarations live as long as it does


def install() -> None:
    """Import torchvision, after declaring the two operators if it fails without them.

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
                library.define(SCHEMA.format(name=name))
        _declared.append(library)
        importlib.import_module("torchvision")
