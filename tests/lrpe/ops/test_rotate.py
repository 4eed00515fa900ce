"""Reflection and phases in one function: gradients whatever is asked for, memory's layout, pieces, refused uses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from lrpe.ops import backend
from lrpe.ops import rotate as fused
from lrpe.ops.rotate import householder_rotate
from tests.lrpe.encodings.encoding_cases import random_vectors, skip_without_native_code

BATCH, HEADS, LENGTH, DIM = 2, 3, 4, 6
LAYOUTS = {
    "contiguous": lambda x: x.contiguous(),
    "transposed": lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
    "strided": lambda x: torch.stack((x, x), dim=-1).flatten(-2)[..., ::2],
    "odd offset": lambda x: torch.cat((x.new_zeros(1), x.flatten()))[1:].view(x.shape),
}


def encode(x: Tensor, theta: Tensor, vector: Tensor | None, *, pairs: bool, per_batch: bool = False) -> Tensor:
    """The function as encodings call it; theta is Float[heads|1 p]."""
    positions = torch.arange(x.shape[2], dtype=x.dtype).expand(x.shape[0] if per_batch else 1, -1)
    angle = positions[:, None, :, None] * theta[:, None]
    with torch.no_grad():
        turn = torch.polar(torch.ones_like(angle), angle)
        phase = turn if pairs else torch.cat((turn.real, turn.imag), dim=-1)
    unit = None if vector is None else vector / vector.norm(dim=-1, keepdim=True)
    return householder_rotate(x, angle, phase, unit)


def by_formula(x: Tensor, theta: Tensor, vector: Tensor | None, *, pairs: bool) -> Tensor:
    """Ordinary operators on numbers that the function never sees as one tensor."""
    if vector is not None:
        unit = (vector / vector.norm(dim=-1, keepdim=True))[:, None]
        x = x - 2 * (x * unit).sum(-1, keepdim=True) * unit
    angle = torch.arange(x.shape[2], dtype=x.dtype)[:, None] * theta[:, None]
    if not pairs:
        return torch.cat((x * angle.cos(), x * angle.sin()), dim=-1)
    first, second = x[..., 0::2], x[..., 1::2]
    rotated = (first * angle.cos() - second * angle.sin(), first * angle.sin() + second * angle.cos())
    return torch.stack(rotated, dim=-1).flatten(-2)


def inputs(*, pairs: bool, sets: int = 1, reflects: bool = True) -> list[Tensor | None]:
    vector = random_vectors(sets, DIM, seed=2) if reflects else None
    return [
        random_vectors(BATCH, HEADS, LENGTH, DIM),
        random_vectors(sets, DIM // 2 if pairs else DIM, seed=1),
        vector,
    ]


@pytest.fixture(params=[1, 5, 4096, "native"])
def _backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """PyTorch's operators on pieces of so many rows, or native code."""
    if request.param == "native":
        skip_without_native_code()
    else:
        monkeypatch.setattr(fused, "PIECE_ROWS", request.param)
    with backend("native" if request.param == "native" else "torch"):
        yield


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("sets", [1, HEADS])
@pytest.mark.parametrize("pairs", [True, False])
def test_gradients_are_those_of_finite_differences_in_every_layout(layout: str, sets: int, pairs: bool):
    x, theta, vector = (tensor.requires_grad_() for tensor in inputs(pairs=pairs, sets=sets))

    def encoded(x: Tensor, theta: Tensor, vector: Tensor) -> Tensor:
        return encode(LAYOUTS[layout](x), theta, vector, pairs=pairs, per_batch=sets == 1)

    assert gradcheck(encoded, (x, theta, vector), fast_mode=True)


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("wanted", [wanted for wanted in itertools.product((True, False), repeat=3) if any(wanted)])
@pytest.mark.parametrize(("pairs", "sets", "reflects"), itertools.product((True, False), (1, HEADS), (True, False)))
def test_any_subset_of_gradients_is_that_of_the_formula(wanted: tuple, pairs: bool, sets: int, reflects: bool):
    results = []
    for function in (encode, by_formula):
        tensors = inputs(pairs=pairs, sets=sets, reflects=reflects)
        asked = [
            tensor.requires_grad_() for tensor, want in zip(tensors, wanted, strict=True) if want and tensor is not None
        ]
        out = function(*tensors, pairs=pairs)
        weights = random_vectors(*out.shape, seed=3)
        results.append([out, *(torch.autograd.grad(out, asked, weights) if asked else [])])
    for ours, formula in zip(*results, strict=True):
        torch.testing.assert_close(ours, formula)


@pytest.mark.parametrize("pairs", [True, False])
def test_the_layout_of_memory_is_kept_and_the_input_untouched(pairs: bool):
    x, theta, vector = inputs(pairs=pairs)
    x = LAYOUTS["transposed"](x)
    before = x.clone()
    out = encode(x, theta, vector, pairs=pairs)
    assert out.transpose(1, 2).is_contiguous()
    assert torch.equal(x, before)


@pytest.mark.parametrize("pairs", [True, False])
def test_overwriting_the_result_before_backward_is_noticed(pairs: bool):
    x, theta, vector = inputs(pairs=pairs)
    out = encode(x, theta.requires_grad_(), vector, pairs=pairs)
    total = (out * 2).sum()
    with torch.no_grad():
        out.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


@pytest.mark.parametrize("shape", [(BATCH, HEADS, 0, DIM), (0, HEADS, LENGTH, DIM)])
def test_no_tokens_have_no_gradient(shape: tuple[int, ...]):
    _, theta, vector = inputs(pairs=True)
    x = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    encode(x, theta.requires_grad_(), vector, pairs=True).sum().backward()
    assert x.grad.shape == shape
    assert not theta.grad.any()
