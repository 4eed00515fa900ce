"""Half precision: sums over many tokens stay finite, and near those of float64."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from lrpe.attention import LinearAttention

LENGTH = 65_536
DECAYS: dict[str, tuple[dict[str, Any], str]] = {
    "PermuteFormer": ({"name": "permuteformer", "seed": 1}, "denominator"),
    "LRPE-d, fixed": ({"name": "lrpe", "core": "orthogonal", "learn_angles": True, "decay": "fixed"}, "layernorm"),
    "LRPE-d, slopes": ({"name": "lrpe", "core": "orthogonal", "decay": "slopes"}, "rmsnorm"),
}
# Of the norm of the result: a few times the rounding of query, key, value and output to 8 and 11 bits.
BOUNDS = {torch.bfloat16: 2**-5, torch.float16: 2**-8}


def _results(layer: LinearAttention, x: Tensor) -> dict[str, Tensor]:
    """The output and every gradient of a loss whose gradient at the output is of size one."""
    x = x.clone().requires_grad_()
    out = layer(x)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(3)).to(out.dtype)
    (out * weights).sum().backward()
    assert x.grad is not None
    return {"output": out.detach(), "gradient of the input": x.grad}


def _errors(layer: LinearAttention, x: Tensor) -> dict[str, float]:
    """How far a layer's results are from those of the same weights in float64, against their norm.

    Raises:
        AssertionError: one is not finite.
    """
    exact = _results(copy.deepcopy(layer).double(), x.double())
    found = _results(layer, x)
    for name, value in found.items():
        assert value.isfinite().all(), f"{name} is not finite"
    return {name: float((found[name].double() - exact[name]).norm() / exact[name].norm()) for name in found}


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("dtype", BOUNDS, ids=str)
def test_decays_to_65536_tokens(dtype: torch.dtype, decay: str) -> None:
    torch.manual_seed(0)
    encoding, normalizer = DECAYS[decay]
    layer = LinearAttention(8, 2, encoding=encoding, normalizer=normalizer).to(dtype)
    x = torch.randn(1, LENGTH, 8, generator=torch.Generator().manual_seed(2)).to(dtype)
    for name, error in _errors(layer, x).items():
        assert error < BOUNDS[dtype], name


@pytest.mark.parametrize("normalizer", ["layernorm", "rmsnorm"])
def test_sums_beyond_float16_are_normalized(normalizer: str) -> None:
    """Without a decay a sum of 2,000 tokens is larger than any float16 number."""
    torch.manual_seed(0)
    layer = LinearAttention(64, 1, normalizer=normalizer)
    torch.nn.init.ones_(layer.value_projection.bias)
    layer.half()
    x = torch.randn(1, 2_000, 64, generator=torch.Generator().manual_seed(2)).half()
    query, key, value = (tensor.double() for tensor in layer.project(x))
    sums = (torch.nn.functional.elu(query) + 1) @ ((torch.nn.functional.elu(key) + 1).mT @ value)
    assert sums.max() > torch.finfo(torch.float16).max
    for name, error in _errors(layer, x).items():
        assert error < BOUNDS[torch.float16], name
