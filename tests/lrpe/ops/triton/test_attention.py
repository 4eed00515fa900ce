"""The attention kernels, encoding fused, against the float64 definition, gradients included."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch

from lrpe import LRPE, LinearAttention, backend, linear_attention
from lrpe.ops.state import LinearAttentionState

pytest.importorskip("triton")

from lrpe.ops.triton.attention import attend
from lrpe.ops.triton.launch import LAUNCHES

BOUNDS = {torch.float32: 2e-6, torch.bfloat16: 2e-2, torch.float16: 2e-3}  # relative to the largest element


@pytest.fixture(autouse=True)
def in_triton() -> Iterator[None]:
    with backend("triton"):
        yield


def relative(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float(((found.double() - exact).abs().max() / exact.abs().max()).detach())


@pytest.mark.parametrize(
    ("length", "dims", "dtype", "denominator", "segment"),
    [
        (1, (16, 16), torch.float32, False, 0),
        (63, (24, 17), torch.float32, True, 0),
        (65, (16, 16), torch.bfloat16, True, 0),
        (33, (16, 16), torch.float16, False, 0),
        (130, (16, 16), torch.float32, True, 128),
    ],
)
def test_attention_is_the_definition_with_its_gradients(
    length: int, dims: tuple[int, int], dtype: torch.dtype, denominator: bool, segment: int
) -> None:
    torch.manual_seed(0)
    key_dim, value_dim = dims
    given = [torch.rand(1, 2, length, dim).to(dtype) for dim in (key_dim, key_dim, value_dim)]
    given += [torch.rand(1, 2, key_dim, value_dim), torch.rand(1, 2, key_dim) + 1]
    padding = torch.zeros(1, length, dtype=torch.bool)
    padding[:, length // 2 : length // 2 + 3] = length > 1
    options = {"log_decay": torch.tensor([-0.01, -0.3]), "denominator": denominator, "key_padding_mask": padding}
    results = []
    for precise in (False, True):
        query, key, value, start, start_sum = (
            (x.double() if precise else x).detach().clone().requires_grad_() for x in given
        )
        state = LinearAttentionState(start, start_sum if denominator else None, 5)
        if precise:
            out, end = linear_attention(query, key, value, form="chunked", state=state, return_state=True, **options)
        else:
            out, end = attend(query, key, value, state=state, return_state=True, segment=segment, **options)
        loss = (out.double() * torch.arange(value_dim).cos()).sum() + (
            end.key_value.double() * torch.arange(value_dim).sin()
        ).sum()
        results.append((out, end.key_value, *torch.autograd.grad(loss, [query, key, value, start])))
    for found, exact in zip(*results, strict=True):
        assert relative(found, exact) < BOUNDS[dtype]


@pytest.mark.parametrize("core", ["orthogonal", "unitary"])
@pytest.mark.parametrize("normalizer", ["layernorm", "denominator"])
def test_a_layer_fused_is_the_layer_in_float64(core: str, normalizer: str) -> None:
    torch.manual_seed(1)
    encoding = LRPE(16, 2, core=core, projection="householder", learn_angles=True, learn_projection=True, seed=1)
    layer = LinearAttention(32, 2, encoding=encoding, normalizer=normalizer, eps=1e-2)
    x, weights = torch.randn(2, 1, 40, 32)
    before = LAUNCHES.copy()
    results = []
    for candidate in (layer, copy.deepcopy(layer).double()):
        dtype = next(candidate.parameters()).dtype
        out = candidate(x.to(dtype))
        loss = (out * weights.to(dtype)).sum()
        results.append((out, *torch.autograd.grad(loss, list(candidate.parameters()))))
    assert LAUNCHES - before == {"attend_forward": 1, "attend_backward": 1}, "one launch forward, one backward"
    for found, exact in zip(*results, strict=True):
        assert (found.double() - exact).abs().max() < 2e-5 * max(1.0, float(exact.detach().abs().max()))


def test_generation_in_the_kernel_is_the_whole_sequence() -> None:
    torch.manual_seed(2)
    layer = LinearAttention(32, 2, encoding=LRPE(16, 2, seed=1), normalizer="denominator").double()
    x = torch.randn(1, 21, 32, dtype=torch.float64)
    whole, layer = layer(x), layer.float()
    first, state = layer.extend(x[:, :20].float())
    last, _ = layer.extend(x[:, 20:].float(), state)
    assert relative(torch.cat([first, last], dim=1), whole) < 1e-5


def test_backends_agree_and_fall_back() -> None:
    torch.manual_seed(3)
    query, key, value = torch.rand(3, 1, 2, 20, 16)
    results = []
    for name in ("definition", "torch", "triton"):
        before = LAUNCHES.total()
        with backend(name):
            results.append(linear_attention(query, key, value, denominator=True))
        assert (LAUNCHES.total() > before) == (name == "triton")
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-5, atol=1e-5)
    before = LAUNCHES.total()
    both_ways = linear_attention(query, key, value, causal=False)
    assert LAUNCHES.total() == before, "no kernel for both directions"
    with backend("torch"):
        assert torch.equal(both_ways, linear_attention(query, key, value, causal=False))


def test_compiled_whole() -> None:
    torch.manual_seed(4)
    layer = LinearAttention(32, 2, encoding=LRPE(16, 2, learn_angles=True, seed=1), normalizer="layernorm")
    x = torch.randn(1, 20, 32)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), layer(x), rtol=1e-6, atol=1e-6)
