"""What one attention layer costs against the length, measured here and now, where no records tell."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.runs.provenance import ROOT, git_state, package_versions
from experiments.runs.records import now
from experiments.util.errors import UserError
from experiments.util.files import write_atomically
from experiments.util.hardware import hardware

SCHEMA = 1
LENGTHS = (256, 512, 1024, 2048, 4096)
EMBED_DIM, NUM_HEADS = 256, 4
REPEATS = 5
SOFTMAX = "softmax"  # the quadratic layer, for comparison


def measure(
    encodings: Mapping[str, Mapping[str, Any]],
    lengths: Sequence[int] = LENGTHS,
    repeats: int = REPEATS,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Seconds of forward and backward of one causal attention layer (batch 1), the median of ``repeats``.

    Args:
        encodings: by label, the mapping ``{"name": ..., **options}`` that :class:`lrpe.LinearAttention` takes.

    Returns:
        Plain data like a record's: ``machine``, ``packages``, ``settings``, and ``points`` of ``label``, ``length`` and
        ``seconds``.
    """
    import torch

    from lrpe.attention import LinearAttention, SoftmaxAttention

    layers: dict[str, LinearAttention | SoftmaxAttention] = {
        label: LinearAttention(EMBED_DIM, NUM_HEADS, encoding=dict(encoding), normalizer="layernorm", causal=True)
        for label, encoding in encodings.items()
    }
    layers[SOFTMAX] = SoftmaxAttention(EMBED_DIM, NUM_HEADS, encoding={"name": "none"}, causal=True)
    points = []
    for label, layer in layers.items():
        say(f"measuring {label}")
        for length in lengths:
            x = torch.randn(1, length, EMBED_DIM, requires_grad=True)
            points.append({"label": label, "length": length, "seconds": _median(layer, x, repeats)})
    return {
        "schema": SCHEMA,
        "kind": "cost of one attention layer, forward and backward",
        "created": now(),
        "machine": hardware(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "packages": package_versions(),
        "git": git_state(ROOT),
        "settings": {
            "embed_dim": EMBED_DIM,
            "num_heads": NUM_HEADS,
            "batch": 1,
            "dtype": "float32",
            "repeats": repeats,
        },
        "points": points,
    }


def load_or_measure(
    path: Path, encodings: Mapping[str, Mapping[str, Any]], again: bool, say: Callable[[str], None]
) -> dict[str, Any]:
    """The measurement in ``path`` where it was made on this machine and has every encoding, else a new one.

    Raises:
        UserError: the file cannot be read.
    """
    if path.exists() and not again:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            known = {point["label"] for point in content["points"]}
            fits = content["schema"] == SCHEMA and content["machine"] == hardware() and known >= set(encodings)
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path} is no measurement of the cost; move it away") from None
        if fits:
            return content
    content = measure(encodings, say=say)
    write_atomically(path, json.dumps(content, indent=2) + "\n")
    say(f"measured here: {path}")
    return content


def _median(layer: Any, x: Any, repeats: int) -> float:
    seconds = []
    for repeat in range(repeats + 1):
        began = time.perf_counter()
        layer(x).sum().backward()
        if repeat:  # the first call allocates
            seconds.append(time.perf_counter() - began)
        x.grad = None
        layer.zero_grad(set_to_none=True)
    return statistics.median(seconds)
