"""Native code against the definition in float64: values, gradients, layouts, threads; and where it cannot be built."""

from __future__ import annotations

import itertools
import logging
import os
import shlex
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lrpe import LRPE, backend
from lrpe.ops import registry
from lrpe.ops.native import build as library
from lrpe.ops.native import rotate as calls
from lrpe.ops.native.rotate import rotate_backward, turn
from lrpe.ops.registry import case_of, resolve
from tests.lrpe.encodings.encoding_cases import random_vectors, skip_without_native_code

BATCH, HEADS = 3, 2
ROUNDING = {torch.float32: 2**-24, torch.float64: 2**-53}
GUARD = 123.0


@pytest.fixture
def _native() -> Iterator[None]:
    skip_without_native_code()
    with backend("native"):
        yield


@pytest.fixture
def _two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(calls, "SMALLEST_SHARE", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def inputs(
    length: int, dim: int, *, pairs: bool, phase_axes: tuple[int, int] = (1, 1), unit_heads: int | None = 1
) -> tuple[Tensor, Tensor, Tensor | None]:
    """x, angles and u in float64."""
    x = random_vectors(BATCH, HEADS, length, dim)
    angle = random_vectors(*phase_axes, length, dim // 2 if pairs else dim, seed=1)
    if unit_heads is None:
        return x, angle, None
    unit = random_vectors(1, unit_heads, 1, dim, seed=2)
    return x, angle, unit / unit.norm(dim=-1, keepdim=True)


def phases(angle: Tensor, *, pairs: bool) -> Tensor:
    return torch.polar(torch.ones_like(angle), angle) if pairs else torch.cat((angle.cos(), angle.sin()), dim=-1)


def definition(x: Tensor, angle: Tensor, unit: Tensor | None, *, pairs: bool) -> Tensor:
    """A matrix product for the reflection, then the real formula of the turn."""
    if unit is not None:
        x = x @ (torch.eye(x.shape[-1], dtype=x.dtype) - 2 * unit.mT * unit)
    if not pairs:
        return torch.cat((x * angle.cos(), x * angle.sin()), dim=-1)
    first, second = x[..., 0::2], x[..., 1::2]
    turned = (first * angle.cos() - second * angle.sin(), first * angle.sin() + second * angle.cos())
    return torch.stack(turned, dim=-1).flatten(-2)


def guarded(*shape: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A tensor of NaN in the middle of a larger one of guard values, and the larger one."""
    size = torch.Size(shape).numel()
    around = torch.full((size + 128,), GUARD, dtype=dtype)
    inside = around[64:-64].view(shape)
    inside.fill_(torch.nan)
    return inside, around


def run(
    x: Tensor, angle: Tensor, unit: Tensor | None, weights: Tensor, dtype: torch.dtype, *, pairs: bool
) -> list[Tensor]:
    """z and the gradients of sum(weights z) in ``dtype``, none written outside its place."""
    x, unit, weights = (None if given is None else given.to(dtype) for given in (x, unit, weights))
    phase = phases(angle, pairs=pairs).to(dtype.to_complex() if pairs else dtype)
    result, around_result = guarded(*weights.shape, dtype=dtype)
    grad_x, around_grad = guarded(*x.shape, dtype=dtype)
    turn(x, phase, unit, result)
    grads = rotate_backward(weights, result, phase, unit, grad_x, angle.shape, learns_unit=unit is not None)
    for around in (around_result, around_grad):
        assert (around[:64] == GUARD).all()
        assert (around[-64:] == GUARD).all()
    return [result, grad_x, *(grad for grad in grads if grad is not None)]


@pytest.mark.usefixtures("_native")
@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("dim", [2, 6, 16, 64, 96])
@pytest.mark.parametrize(
    ("pairs", "unit_heads", "phase_axes"),
    [
        *itertools.product((True, False), (None, 1, HEADS), [(1, 1)]),
        (True, 1, (BATCH, HEADS)),
        (False, HEADS, (1, HEADS)),
    ],
)
def test_values_and_gradients_are_those_of_the_definition(
    dtype: torch.dtype, dim: int, pairs: bool, unit_heads: int | None, phase_axes: tuple[int, int]
):
    for length in (1, 7, 67):
        exact = inputs(length, dim, pairs=pairs, phase_axes=phase_axes, unit_heads=unit_heads)
        learned = [tensor.requires_grad_() for tensor in exact if tensor is not None]
        expected = definition(*exact, pairs=pairs)
        weights = random_vectors(*expected.shape, seed=3)
        expected = [expected, *torch.autograd.grad(expected, learned, weights)]
        actual = run(*(None if x is None else x.detach() for x in exact), weights, dtype, pairs=pairs)
        # Numbers are of order one; an angle's and u's gradients add one for every row that shares them.
        terms = [dim, dim, *(dim + x.numel() // learned[0].shape[-1] for x in (weights, weights))]
        for ours, exactly, count in zip(actual, expected, terms, strict=False):
            bound = ROUNDING[dtype] * 8 * (1 + count**0.5) * max(1.0, exactly.abs().max().item())
            assert (ours.double() - exactly).abs().max() <= bound


@pytest.mark.usefixtures("_native", "_two_threads")
@pytest.mark.parametrize("pairs", [True, False])
def test_the_number_of_threads_changes_no_bit(pairs: bool):
    exact = inputs(203, 16, pairs=pairs)
    weights = random_vectors(*exact[0].shape[:3], 16 if pairs else 32, seed=3)
    shared = run(*exact, weights, torch.float32, pairs=pairs)
    torch.set_num_threads(1)
    for one, two in zip(run(*exact, weights, torch.float32, pairs=pairs), shared, strict=True):
        assert torch.equal(one, two)


@pytest.mark.usefixtures("_native")
@pytest.mark.parametrize("core", ["orthogonal", "orthogonal_mixed", "unitary"])
def test_views_of_any_strides_are_read_without_a_copy_and_give_the_same(core: str):
    encoding = LRPE(16, HEADS, core=core, projection="householder", learn_angles=True, learn_projection=True, seed=0)
    joint = random_vectors(BATCH, 9, 3, HEADS, 16, dtype=torch.float32)
    results = []
    for layout in (lambda x: x.contiguous(), lambda x: x):
        query, key, _ = layout(joint.requires_grad_().permute(2, 0, 3, 1, 4))
        encoded = encoding(query, key)
        gradients = torch.autograd.grad((encoded[0] * encoded[1]).sum(), [joint, *encoding.parameters()])
        results.append((*encoded, *gradients))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.usefixtures("_native", "_two_threads")
def test_a_forked_process_has_threads_of_its_own():
    encoding = LRPE(16, HEADS, projection="householder", seed=0)
    x = random_vectors(BATCH, HEADS, 64, 16, dtype=torch.float32)
    expected = encoding.encode_query(x)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)  # rather than wait for threads that it does not have
            os.write(write, b"same" if torch.equal(encoding.encode_query(x), expected) else b"other")
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    assert os.read(read, 8) == b"same"


class TestWhereItCannotBeBuilt:
    @pytest.fixture(params=["no compiler", "a compiler that fails", "a folder that cannot be written"])
    def reason(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
        (tmp_path / "file").touch()
        folder = tmp_path / "file" if request.param.startswith("a folder") else tmp_path
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
        compiler = {"no compiler": "/nonexistent", "a compiler that fails": "false"}.get(request.param)
        if compiler:
            monkeypatch.setenv("CC", compiler)
        library._build_once.cache_clear()
        monkeypatch.setattr(registry, "_resolved", {})
        return request.param

    def test_the_result_is_the_same_and_the_log_says_so_once(self, reason: str, caplog: pytest.LogCaptureFixture):
        encoding = LRPE(16, HEADS, projection="householder", seed=0)
        x = random_vectors(BATCH, HEADS, 8, 16, dtype=torch.float32)
        with caplog.at_level(logging.WARNING):
            results = [encoding.encode_query(x) for _ in range(3)]
        messages = [record.getMessage() for record in caplog.records if record.name == library.__name__]
        assert len(messages) == 1, reason
        assert "install a C compiler" in messages[0]
        with backend("torch"):
            assert torch.equal(results[-1], encoding.encode_query(x))

    @pytest.mark.usefixtures("reason")
    def test_asking_for_it_is_an_error_that_names_the_remedy(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(registry, "ENVIRONMENT", "native")
        with pytest.raises(RuntimeError, match="LRPE_BACKEND=native.*install a C compiler.*or unset LRPE_BACKEND"):
            LRPE(16, HEADS).encode_query(torch.zeros(1, HEADS, 1, 16))


def test_native_code_and_operators_agree_within_rounding():
    skip_without_native_code()
    encoding = LRPE(64, HEADS, core="unitary", projection="householder", seed=0)
    x = random_vectors(BATCH, HEADS, 50, 64, dtype=torch.float32)
    results = []
    for name in ("native", "torch"):
        with backend(name):
            assert resolve(case_of("rotate", x)).name == name
            results.append(encoding.encode_query(x))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)
    assert not torch.equal(*results), "each has its own rounding: one of the two did not run"


@pytest.mark.parametrize(
    "x", [torch.zeros(1, dtype=torch.bfloat16), torch.zeros(1, device="meta")], ids=["bfloat16", "meta"]
)
def test_what_native_code_cannot_take_is_left_to_the_operators(x: Tensor):
    skip_without_native_code()
    with backend("native"):
        assert resolve(case_of("rotate", x)).name == "torch"


def test_two_that_build_at_once_leave_one_library(tmp_path: Path):
    skip_without_native_code()
    compiler = shlex.split(os.environ.get("CC") or "cc")
    with ThreadPoolExecutor() as builders:
        built = list(builders.map(lambda _: library._compile(torch.float32, compiler, tmp_path), range(2)))
    assert list(tmp_path.iterdir()) == [built[0]]
    assert built[0] == built[1]
    assert library._compile(torch.float32, compiler, tmp_path) == built[0], "found, not compiled again"
