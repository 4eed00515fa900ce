"""How wide heads may be, any length, and what happens beyond: PyTorch's operators, the same result."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from lrpe import LRPE, LinearAttention, backend, linear_attention

pytest.importorskip("triton")

from lrpe.ops.state import LinearAttentionState
from lrpe.ops.triton.attention import attend
from lrpe.ops.triton.launch import LAUNCHES


@pytest.fixture(autouse=True)
def in_triton() -> Iterator[None]:
    with backend("triton"):
        yield


def relative(found: Tensor, exact: Tensor) -> float:
    return float(((found.double() - exact).abs().max() / exact.abs().max()).detach())


def launches(run: object) -> int:
    before = LAUNCHES.total()
    run()
    return LAUNCHES.total() - before


@pytest.mark.parametrize(
    ("length", "head_dim", "value_dim", "core"),
    [
        (1, 6, 5, "orthogonal"),
        (63, 6, 5, "orthogonal"),
        (65, 17, 33, "unitary"),
        *(pytest.param(length, 130, 96, "orthogonal", marks=pytest.mark.slow) for length in (1, 63, 65, 130)),
        pytest.param(63, 200, 256, "orthogonal", marks=pytest.mark.slow),
        # keys of 512 features, values in blocks
        *(pytest.param(length, 256, 256, "unitary", marks=pytest.mark.slow) for length in (1, 130)),
    ],
)
def test_every_width_and_length_with_gradients(length: int, head_dim: int, value_dim: int, core: str) -> None:
    torch.manual_seed(0)
    encoding = LRPE(head_dim, 1, core=core, projection="householder", learn_angles=True, learn_projection=True, seed=1)
    inputs = [torch.rand(1, 1, length, dim) for dim in (head_dim, head_dim, value_dim)]
    results = []
    for module, precise in ((encoding, False), (copy.deepcopy(encoding).double(), True)):
        given = [(x.double() if precise else x).detach().requires_grad_() for x in inputs]
        if precise:
            out = linear_attention(*module(given[0], given[1], offset=9), given[2], denominator=True, eps=1.0)
        else:
            out, _ = attend(*given, phases=module.phases(), offset=9, denominator=True, eps=1.0)
        wanted = [*given, *module.parameters()]
        results.append((out, *torch.autograd.grad((out * torch.arange(value_dim).cos()).sum(), wanted)))
    for found, exact in zip(*results, strict=True):
        # one token: Householder's vector and the angles cancel in <q_s, k_s>, and their gradient is rounding
        if exact.abs().max() > 1e-9:
            assert relative(found, exact) < 5e-5


@pytest.mark.parametrize("dims", [(64, 256), pytest.param((512, 256), marks=pytest.mark.slow)])
def test_the_widest_values_are_summed_over_blocks(dims: tuple[int, int]) -> None:
    torch.manual_seed(1)
    query, key, value = (torch.rand(1, 1, 40, dim, requires_grad=True) for dim in (dims[0], *dims))
    exact = [x.detach().double().requires_grad_() for x in (query, key, value)]
    results = []
    for inputs in ((query, key, value), exact):
        out = linear_attention(*inputs, denominator=True)
        results.append((out, *torch.autograd.grad((out * torch.arange(dims[1]).cos()).sum(), inputs)))
    for found, right in zip(*results, strict=True):
        assert relative(found, right) < 5e-6, "float32 sums of hundreds of features"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_state_is_float32_and_keeps_what_halves_would_lose(dtype: torch.dtype) -> None:
    """4,096 ones and then 8 more: bfloat16 stops counting at 256, float16 at 2,048."""
    ones = torch.ones(1, 1, 8, 16, dtype=dtype)
    state = LinearAttentionState(torch.full((1, 1, 16, 16), 4096.0), torch.full((1, 1, 16), 4096.0), 4096)
    _, after = linear_attention(ones, ones, ones, denominator=True, state=state, return_state=True)
    for tensor in (after.key_value, after.key_sum):
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, torch.full_like(tensor, 4104.0))


@pytest.mark.parametrize("case", ["float64", "key_dim 513", "value_dim 257", "two dtypes", "no interpreter"])
def test_attention_beyond_the_kernels_falls_back(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(2)
    dims = {"key_dim 513": (513, 16), "value_dim 257": (16, 257)}.get(case, (16, 16))
    dtype = torch.float64 if case == "float64" else torch.float32
    query, key, value = (torch.rand(1, 1, 5, dim, dtype=dtype) for dim in (dims[0], *dims))
    if case == "two dtypes":
        value = value.bfloat16()
    if case == "no interpreter":
        monkeypatch.delenv("TRITON_INTERPRET")
    found: list[Tensor] = []
    assert launches(lambda: found.append(linear_attention(query, key, value))) == 0
    with backend("torch"):
        assert torch.equal(found[0], linear_attention(query, key, value))


@pytest.mark.parametrize("case", ["head_dim 258", "float64", "two lengths", "two dtypes", "no interpreter"])
def test_encoding_beyond_the_kernels_falls_back(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    head_dim = 258 if case == "head_dim 258" else 16
    encoding = LRPE(head_dim, 1, projection="householder", learn_angles=True, seed=1)
    dtype = torch.float64 if case == "float64" else torch.float32
    query = torch.rand(1, 1, 5, head_dim, dtype=dtype)
    key = torch.rand(1, 1, 4 if case == "two lengths" else 5, head_dim, dtype=dtype)
    if case == "two dtypes":
        key = key.bfloat16()
    if case == "no interpreter":
        monkeypatch.delenv("TRITON_INTERPRET")
    found: list[tuple[Tensor, Tensor]] = []
    assert launches(lambda: found.append(encoding(query, key))) == 0
    with backend("torch"):
        expected = encoding(query, key)
    for one, other in zip(found[0], expected, strict=True):
        assert torch.equal(one, other)


def test_a_layer_too_wide_for_a_kernel_trains_all_the_same() -> None:
    torch.manual_seed(4)
    layer = LinearAttention(258, 1, encoding=LRPE(258, 1, learn_angles=True), normalizer="layernorm")
    assert launches(lambda: layer(torch.randn(1, 6, 258)).sum().backward()) == 0
    assert all(parameter.grad is not None for parameter in layer.parameters() if parameter.requires_grad)


def test_triton_asked_for_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrpe.ops.backends.HAS_TRITON", False)
    with pytest.raises(RuntimeError, match="Triton is not installed"):
        linear_attention(*torch.rand(3, 1, 1, 4, 16))
