"""The kernels as operators of PyTorch: sound to its checks, and nothing compiles again for another length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from lrpe import LRPE, LinearAttention, backend

pytest.importorskip("triton")

from lrpe.ops.triton import attention, attention_gradients, encode
from lrpe.ops.triton.launch import LAUNCHES
from lrpe.ops.triton.problem import segmentation


@pytest.fixture(autouse=True)
def in_triton() -> Iterator[None]:
    with backend("triton"):
        yield


def rows(*dims: int, length: int = 20, gradient: bool = True) -> list[torch.Tensor]:
    """(1, 2, length, dim) in a layer's order of memory."""
    torch.manual_seed(0)
    return [torch.rand(1, length, 2, dim).transpose(1, 2).requires_grad_(gradient) for dim in dims]


def encode_arguments(layout: str) -> tuple[Any, ...]:
    theta = torch.rand(1, 1, 16 if layout == "real" else 8, requires_grad=True)
    vector = torch.rand(1, 16, requires_grad=True)
    return (*rows(16, 16), theta, vector, None, layout, 3)


def attend_arguments(denominator: bool, keep_end: bool) -> tuple[Any, ...]:
    theta, vector = torch.rand(1, 1, 8, requires_grad=True), torch.rand(1, 16, requires_grad=True)
    padding = torch.zeros(1, 20, dtype=torch.bool)
    start = torch.rand(1, 2, 16, 24, requires_grad=True) if keep_end else None
    start_sum = torch.rand(1, 2, 16, requires_grad=True) if keep_end and denominator else None
    return (
        *rows(16, 16, 24), theta, vector, torch.tensor([-0.1, -0.2]), padding, start, start_sum,
        "neighbors", True, 3, denominator, 1e-6, keep_end, 0,
    )  # fmt: skip


@pytest.mark.parametrize(
    "layout", ["neighbors", *(pytest.param(x, marks=pytest.mark.slow) for x in ("halves", "real"))]
)
def test_encoding_is_a_sound_operator(layout: str) -> None:
    torch.library.opcheck(encode._encode, encode_arguments(layout))


@pytest.mark.parametrize("keep_end", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("denominator", [pytest.param(False, marks=pytest.mark.slow), True])
def test_attention_is_a_sound_operator(denominator: bool, keep_end: bool) -> None:
    torch.library.opcheck(attention._attend, attend_arguments(denominator, keep_end))


def test_backwards_are_sound_operators() -> None:
    """No gradients of gradients: their schemas and fake tensors."""
    tests = ("test_schema", "test_faketensor")
    query, key, theta, vector, _, layout, offset = encode_arguments("real")
    wide = rows(32, 32, 32, 32, gradient=False)
    arguments = (*wide, theta.detach(), vector.detach(), None, layout, offset, True, True)
    torch.library.opcheck(encode._encode_backward, arguments, test_utils=tests)
    inputs = [x.detach() if isinstance(x, torch.Tensor) else x for x in attend_arguments(True, True)]
    tensors, options = inputs[:9], inputs[9:]
    out, total, end, end_sum = attention._attend(*inputs)
    query, key, value, *others = tensors
    options = [option for place, option in enumerate(options) if place != 5]  # without keep_end
    arguments = (out, end, end_sum, query, key, value, out.clone(), total, *others, *options, True, True)
    torch.library.opcheck(attention_gradients.attend_gradients, arguments, test_utils=tests)


@pytest.mark.slow
@pytest.mark.parametrize("normalizer", ["layernorm", "denominator"])
def test_one_graph_for_all_lengths(normalizer: str) -> None:
    """Two where the first length is taken for a constant, until a second is seen."""
    torch.manual_seed(1)
    encoding = LRPE(16, 2, projection="householder", learn_angles=True, seed=1)
    layer = LinearAttention(32, 2, encoding=encoding, normalizer=normalizer)
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, fullgraph=True, backend=counter)
    for length in (20, 33, 47, 130):
        x = torch.randn(1, length, 32)
        torch.testing.assert_close(compiled(x), layer(x), rtol=1e-6, atol=1e-6)
    assert counter.frame_count <= 2


@pytest.mark.slow
def test_a_marked_length_compiles_once_with_its_gradient() -> None:
    torch.manual_seed(2)
    layer = LinearAttention(32, 2, encoding=LRPE(16, 2, core="unitary", learn_angles=True), normalizer="layernorm")
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, fullgraph=True, backend=counter)
    for length in (20, 37):
        x = torch.randn(1, length, 32)
        expected = torch.autograd.grad(layer(x).sin().sum(), list(layer.parameters()))
        torch._dynamo.mark_dynamic(x, 1)
        found = torch.autograd.grad(compiled(x).sin().sum(), list(layer.parameters()))
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert counter.frame_count == 1


@pytest.mark.parametrize(
    "kernel",
    [encode.FORWARD, encode.BACKWARD, attention.FORWARD, attention_gradients.BACKWARD],
    ids=lambda kernel: kernel.name,
)
def test_no_length_and_no_offset_in_a_tuning_key(kernel: Any) -> None:
    assert not {"length", "offset", "segment", "segments"} & set(kernel.tuned.keys)


@pytest.mark.parametrize(
    ("segment", "forward", "backward"),
    [
        (0, {"attend_forward": 1}, {"attend_backward": 1}),
        (128, {"summarize_segments": 1, "attend_forward": 1}, {"summarize_segments": 2, "attend_backward": 1}),
    ],
    ids=["chosen by the shape", "two segments"],
)
def test_launches_are_those_that_the_module_promises(
    segment: int, forward: dict[str, int], backward: dict[str, int]
) -> None:
    encoding = LRPE(16, 2, projection="householder", learn_angles=True, learn_projection=True, seed=1)
    before = LAUNCHES.copy()
    out, _ = attention.attend(*rows(16, 16, 16, length=140), phases=encoding.phases(), segment=segment)
    assert LAUNCHES - before == forward
    before, gradient = LAUNCHES.copy(), torch.rand_like(out)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        out.backward(gradient)
    assert LAUNCHES - before == backward
    arithmetic = {"aten::sum", "aten::mul", "aten::div", "aten::sub", "aten::add", "aten::linalg_vector_norm"}
    found = {event.key: event.count for event in seen.key_averages() if event.key in arithmetic}
    assert found == {"aten::sum": 2}, "for the angles and for Householder's vector"


@pytest.mark.parametrize(
    ("pairs", "length", "segments"), [(1, 512, 1), (1, 4096, 8), (64, 65_536, 5), (264, 65_536, 1), (4096, 4096, 1)]
)
def test_a_sequence_is_cut_where_heads_alone_leave_a_card_idle(pairs: int, length: int, segments: int) -> None:
    """132 multiprocessors: an H100's and an H200's."""
    segment = segmentation(pairs, length, 132)
    assert segment % 128 == 0
    assert -(-length // segment) == segments
