"""Denominators that had to be clamped are counted, whoever computes them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lrpe.attention import LinearAttention
from lrpe.ops import backend, linear_attention


def _inputs() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, 2, 40, 8, generator=generator) for _ in range(3)]  # scores of both signs


@pytest.mark.parametrize("name", ["definition", "torch", "triton"])
def test_every_backend_counts_the_same(name: str) -> None:
    if name == "triton":
        pytest.importorskip("triton")
    query, key, value = _inputs()
    clamped = torch.tensor([5, 7])
    with backend(name):
        linear_attention(query, key, value, denominator=True, eps=0.5, clamped=clamped)
    total = (query.double() @ key.double().mT).tril().sum(-1)
    assert clamped.tolist() == [5 + int((total < 0.5).sum()), 7 + total.numel()]
    assert 0 < int(clamped[0]) - 5 < total.numel()


def test_without_a_denominator_there_is_nothing_to_count() -> None:
    clamped = torch.zeros(2, dtype=torch.int64)
    linear_attention(*_inputs(), clamped=clamped)
    assert clamped.tolist() == [0, 0]
    assert LinearAttention(16, 2, normalizer="layernorm").clamped is None


def test_a_layer_counts_in_training_compiled_or_not() -> None:
    torch.manual_seed(0)
    layer = LinearAttention(16, 2, encoding={"name": "rope"}, feature_map="identity")
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    counts = []
    for length in (20, 30):  # the second makes the length a variable
        x = torch.randn(2, length, 16, generator=torch.Generator().manual_seed(length))
        for call in (layer, compiled):
            layer.clamped.zero_()
            call(x)
            counts.append(layer.clamped.tolist())
    assert counts[::2] == counts[1::2]
    assert [every for _, every in counts[::2]] == [2 * 2 * length for length in (20, 30)]
    assert all(0 < clamped < every for clamped, every in counts)
    layer.eval()(x)
    assert layer.clamped.tolist() == counts[-1], "an evaluation is no training"
    assert "clamped" not in layer.state_dict(), "checkpoints stay as they were"


def test_half_precision_counts_on() -> None:
    layer = LinearAttention(16, 2, feature_map="identity").half()
    for _ in range(2):
        layer(torch.randn(1, 9, 16).half())
    assert layer.clamped.dtype == torch.int64
    assert layer.clamped[1] == 2 * 2 * 9
