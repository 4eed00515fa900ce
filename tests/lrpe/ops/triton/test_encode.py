"""The encoding's kernel against the float64 encoding in PyTorch, gradients included, and how it is chosen."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from lrpe import LRPE, backend

pytest.importorskip("triton")

from lrpe.ops.triton.launch import LAUNCHES

# Rounding of the output to each dtype, times magnitudes of some 5.
BOUNDS = {torch.float32: 1e-5, torch.bfloat16: 0.05, torch.float16: 0.006}


@pytest.fixture(autouse=True)
def in_triton() -> Iterator[None]:
    with backend("triton"):
        yield


def run(encoding: LRPE, query: Tensor, key: Tensor, **options: object) -> dict[str, Tensor]:
    """Outputs and the gradients of a fixed function of them."""
    inputs = {"query": query.clone().requires_grad_(), "key": key.clone().requires_grad_()}
    outputs = encoding(inputs["query"], inputs["key"], **options)
    learned = {name: x for name, x in encoding.named_parameters() if x.requires_grad}
    loss = sum(
        (x.double() * (weight + torch.arange(x.shape[-1]) % 3)).sum()
        for x, weight in zip(outputs, (1, -2), strict=True)
    )
    gradients = torch.autograd.grad(loss, [*inputs.values(), *learned.values()])
    return {"q'": outputs[0], "k'": outputs[1], **dict(zip([*inputs, *learned], gradients, strict=True))}


def compare(encoding: LRPE, length: int, dtype: torch.dtype, **options: object) -> None:
    query, key = (torch.randn(2, length, encoding.num_heads, encoding.head_dim).transpose(1, 2) for _ in range(2))
    query, key = query.to(dtype), key.to(dtype)
    before = LAUNCHES.total()
    found = run(encoding, query, key, **options)
    assert LAUNCHES.total() == before + 2, "one launch forward, one backward"
    expected = run(copy.deepcopy(encoding).double(), query.double(), key.double(), **options)
    for name, exact in expected.items():
        bound = BOUNDS[dtype] * max(1.0, float(exact.detach().abs().max()) / 5)
        assert (found[name].double() - exact).abs().max() < bound, name


@pytest.mark.parametrize("core", ["orthogonal", "orthogonal_mixed", "unitary"])
@pytest.mark.parametrize("projection", ["identity", "householder"])
@pytest.mark.parametrize("dtype", list(BOUNDS))
def test_the_kernel_is_the_encoding_with_its_gradients(core: str, projection: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    encoding = LRPE(
        24, 2, core=core, projection=projection, learn_angles=True, learn_projection=projection == "householder",
        share_heads=False, seed=1,
    )  # fmt: skip
    compare(encoding, 35, dtype, offset=11)


@pytest.mark.parametrize(("length", "head_dim"), [(1, 64), (63, 16), (65, 96), (130, 16)])
def test_every_length_and_width(length: int, head_dim: int) -> None:
    torch.manual_seed(1)
    compare(LRPE(head_dim, 1, projection="householder", learn_angles=True, seed=2), length, torch.float32)


def test_half_split_pairs_and_fixed_angles() -> None:
    torch.manual_seed(2)
    compare(LRPE(16, 2, projection="odd_even"), 20, torch.float32)


@pytest.mark.parametrize("axes", ["own", "split", "shared"])
def test_positions_of_several_dimensions(axes: str) -> None:
    torch.manual_seed(3)
    encoding = LRPE(24, 2, ndim=2, axes=axes, learn_angles=True, projection="householder", seed=3)
    compare(encoding, 9, torch.float32, positions=torch.randint(-50, 50, (2, 9, 2)))


def test_a_million_positions_on_the_angles_are_exact() -> None:
    torch.manual_seed(4)
    encoding = LRPE(16, 1)
    query, key = torch.randn(2, 1, 1, 8, 16)
    found, _ = encoding(query, key, offset=2**20)
    exact, _ = encoding.double()(query.double(), key.double(), offset=2**20)
    assert (found - exact).abs().max() < 2e-6


@pytest.mark.parametrize(
    "options", [{"projection": "dct"}, {"core": "permutation"}, {"core": "unitary", "projection": "dft"}]
)
def test_an_encoding_without_a_kernel_falls_back(options: dict[str, str]) -> None:
    torch.manual_seed(5)
    encoding = LRPE(16, 2, seed=4, **options)
    query, key = torch.randn(2, 1, 2, 5, 16)
    before = LAUNCHES.total()
    found, _ = encoding(query, key)
    assert LAUNCHES.total() == before
    exact, _ = encoding.double()(query.double(), key.double())
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)


def test_compiled_whole() -> None:
    torch.manual_seed(6)
    encoding = LRPE(16, 2, projection="householder", learn_angles=True, seed=5)
    query, key = torch.randn(2, 1, 2, 5, 16)
    compiled = torch.compile(encoding, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(query, key), encoding(query, key), rtol=0, atol=0)
