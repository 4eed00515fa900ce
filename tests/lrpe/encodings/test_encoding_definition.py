"""What makes a map a linearized relative encoding, in float64, for every entry of the registry."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from lrpe.encodings import ENCODINGS, Encoding
from tests.lrpe.encodings.encoding_cases import (
    ALL,
    HEAD_DIM,
    HEADS,
    LEARNED,
    LINEAR,
    Case,
    apply_matrices,
    random_positions,
    scores,
)
from tests.lrpe.encodings.encoding_cases import random_vectors as vectors

CLOSE = {"rtol": 0, "atol": 1e-11}
RELATIVE = [case for case in LINEAR if case.name != "none"]


def test_every_entry_of_the_registry_is_tested():
    assert {case.name for case in ALL} == set(ENCODINGS)


@pytest.mark.parametrize("case", LINEAR, ids=str)
def test_the_fast_path_equals_the_matrix_definition(case: Case):
    encoding = case.build()
    query, key = vectors(2, HEADS, 5, HEAD_DIM), vectors(2, HEADS, 5, HEAD_DIM, seed=1)
    for positions in (random_positions(case, 5), random_positions(case, 2, 5)):
        encoded_query, encoded_key = encoding(query, key, positions=positions)
        torch.testing.assert_close(encoded_query, apply_matrices(encoding, query, positions), **CLOSE)
        torch.testing.assert_close(encoded_key, apply_matrices(encoding, key, positions), **CLOSE)


@pytest.mark.parametrize("case", LINEAR, ids=str)
def test_a_matrix_is_unitary(case: Case):
    encoding = case.build()
    for position in random_positions(case, 3):
        matrix = encoding.matrix(position)
        assert matrix.shape == (HEADS, encoding.output_dim, HEAD_DIM)
        assert matrix.dtype == torch.float64
        torch.testing.assert_close(matrix.mT @ matrix, torch.eye(HEAD_DIM).double().expand(HEADS, -1, -1), **CLOSE)


@pytest.mark.parametrize("case", LINEAR, ids=str)
def test_encoding_keeps_the_norm(case: Case):
    encoding = case.build()
    x = vectors(2, HEADS, 7, HEAD_DIM)
    for encoded in encoding(x, x, positions=random_positions(case, 7)):
        torch.testing.assert_close(encoded.norm(dim=-1), x.norm(dim=-1), **CLOSE)


@pytest.mark.parametrize("case", LINEAR, ids=str)
def test_scores_depend_on_the_difference_of_positions_alone(case: Case):
    encoding = case.build()
    query, key = vectors(2, HEADS, 6, HEAD_DIM), vectors(2, HEADS, 6, HEAD_DIM, seed=1)
    for positions in (random_positions(case, 6), random_positions(case, 2, 6)):
        here = scores(*encoding(query, key, positions=positions))
        shift = torch.tensor([117, -31, 5])[: case.ndim] if case.ndim > 1 else 117
        there = scores(*encoding(query, key, positions=positions + shift))
        torch.testing.assert_close(here, there, **CLOSE)


@pytest.mark.parametrize("case", [case for case in RELATIVE if case.ndim == 1], ids=str)
def test_scores_with_an_offset_are_the_scores_without(case: Case):
    encoding = case.build()
    query, key = vectors(2, HEADS, 6, HEAD_DIM), vectors(2, HEADS, 6, HEAD_DIM, seed=1)
    torch.testing.assert_close(scores(*encoding(query, key)), scores(*encoding(query, key, offset=901)), **CLOSE)


@pytest.mark.parametrize("case", RELATIVE, ids=str)
def test_scores_do_depend_on_the_difference_of_positions(case: Case):
    encoding = case.build()
    query, key = vectors(1, HEADS, 1, HEAD_DIM), vectors(1, HEADS, 1, HEAD_DIM, seed=1)
    origin = torch.zeros((1, case.ndim) if case.ndim > 1 else (1,), dtype=torch.int64)
    near = scores(encoding.encode_query(query, positions=origin + 1), encoding.encode_key(key, positions=origin))
    same = scores(encoding.encode_query(query, positions=origin), encoding.encode_key(key, positions=origin))
    assert (near - same).abs().min() > 1e-4


@pytest.mark.parametrize("case", RELATIVE, ids=str)
def test_at_the_origin_only_the_projection_is_left(case: Case):
    encoding = case.build()
    matrix = encoding.matrix((0,) * case.ndim)
    projection = encoding.projection.matrix() if case.name in ("lrpe", "rope") else torch.eye(HEAD_DIM).double()[None]
    if encoding.output_dim == 2 * HEAD_DIM:
        projection = torch.cat(
            (projection.real, projection.imag if projection.is_complex() else 0 * projection), dim=-2
        )
    torch.testing.assert_close(matrix, projection.expand(HEADS, -1, -1), **CLOSE)


REAL = [case for case in RELATIVE if case.options.get("core") != "unitary"]


@pytest.mark.parametrize("case", [case for case in REAL if case.ndim > 1], ids=str)
def test_steps_along_different_axes_commute_and_add(case: Case):
    encoding = case.build()
    origin = encoding.matrix((0,) * case.ndim)
    step = {axis: encoding.matrix([3 * (a == axis) for a in range(case.ndim)]) @ origin.mT for axis in (0, 1)}
    both = encoding.matrix([3 if a < 2 else 0 for a in range(case.ndim)]) @ origin.mT
    torch.testing.assert_close(step[0] @ step[1], both, **CLOSE)
    torch.testing.assert_close(step[1] @ step[0], both, **CLOSE)


@pytest.mark.parametrize("case", [case for case in ALL if case.ndim == 1], ids=str)
def test_a_suffix_encoded_alone_equals_the_suffix_of_the_whole(case: Case):
    encoding = case.build().eval()
    query, key = vectors(2, HEADS, 9, HEAD_DIM), vectors(2, HEADS, 9, HEAD_DIM, seed=1)
    whole = encoding(query, key)
    suffix = encoding(query[:, :, 6:], key[:, :, 6:], offset=6)
    explicit = encoding(query[:, :, 6:], key[:, :, 6:], positions=torch.arange(6, 9))
    for one, other, third in zip(whole, suffix, explicit, strict=True):
        torch.testing.assert_close(one[:, :, 6:], other, **CLOSE)
        torch.testing.assert_close(one[:, :, 6:], third, **CLOSE)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_query_and_key_alone_equal_the_pair(case: Case):
    encoding = case.build()
    query, key = vectors(2, HEADS, 4, HEAD_DIM), vectors(2, HEADS, 4, HEAD_DIM, seed=1)
    positions = random_positions(case, 2, 4)
    encoded = encoding(query, key, positions=positions)
    torch.testing.assert_close(encoding.encode_query(query, positions=positions), encoded[0], rtol=0, atol=0)
    torch.testing.assert_close(encoding.encode_key(key, positions=positions), encoded[1], rtol=0, atol=0)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_inputs_stay_as_they_are(case: Case):
    encoding = case.build()
    x = vectors(1, HEADS, 4, HEAD_DIM, dtype=torch.float32)
    before = x.clone()
    encoding(x, x, positions=random_positions(case, 4))
    assert torch.equal(x, before)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_the_memory_layout_of_the_input_does_not_matter(case: Case):
    encoding = case.build().eval()
    x = vectors(2, HEADS, 5, HEAD_DIM)
    positions = random_positions(case, 5)
    expected = encoding(x, x, positions=positions)
    by_token = x.transpose(1, 2).contiguous().transpose(1, 2)
    every_second = torch.stack((x, 0 * x), dim=-1).flatten(-2)[..., ::2]
    odd_start = torch.cat((x[..., :1], x), dim=-1)[..., 1:]
    odd_rows = torch.cat((x, x[..., :1]), dim=-1)[..., :-1]
    for other in (by_token, every_second, odd_start, odd_rows):
        assert torch.equal(other, x)
        for one, two in zip(encoding(other, other, positions=positions), expected, strict=True):
            torch.testing.assert_close(one, two, **CLOSE)


def check_gradients(case: Case, encoding: Encoding) -> None:
    parameters = dict(encoding.named_parameters())
    query, key = vectors(2, HEADS, 3, HEAD_DIM), vectors(2, HEADS, 3, HEAD_DIM, seed=1)
    positions = random_positions(case, 3) if case.ndim > 1 else None

    def encode(query, key, *values):
        tensors = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(encoding, tensors, (query, key), {"positions": positions})

    inputs = [tensor.detach().double().requires_grad_() for tensor in (query, key, *parameters.values())]
    assert gradcheck(encode, inputs, fast_mode=True, atol=1e-6)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_gradients_are_those_of_finite_differences(case: Case):
    encoding = case.build().eval()
    if case in LEARNED:
        assert list(encoding.parameters())
    check_gradients(case, encoding)


@pytest.mark.parametrize("case", LEARNED, ids=str)
def test_learned_parameters_receive_a_gradient(case: Case):
    encoding = case.build()
    query, key = (
        vectors(1, HEADS, 6, HEAD_DIM, dtype=torch.float32).requires_grad_(),
        vectors(1, HEADS, 6, HEAD_DIM).float(),
    )
    positions = random_positions(case, 6)
    (scores(*encoding(query, key, positions=positions)) ** 2).sum().backward()
    for name, parameter in encoding.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad.norm(dim=-1) > 0).all(), name


def test_a_learned_angle_goes_to_the_angle_that_made_the_scores():
    """Learning recovers a rotation: gradient descent on one pair's angle from data made with another angle."""
    target = Case("lrpe", {"core": "orthogonal"}).build(head_dim=2, num_heads=1)
    target.core.angles.values.fill_(0.45)
    student = Case("lrpe", {"core": "orthogonal", "learn_angles": True}).build(head_dim=2, num_heads=1)
    with torch.no_grad():
        student.core.angles.values.fill_(0.4)
    query, key = vectors(8, 1, 5, 2), vectors(8, 1, 5, 2, seed=1)
    optimizer = torch.optim.Adam(student.parameters(), lr=3e-3)
    for _ in range(100):
        optimizer.zero_grad()
        (scores(*student(query, key)) - scores(*target(query, key))).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(student.core.angles.values.item(), 0.45, rtol=0, atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    case=st.sampled_from(LINEAR),
    batch=st.integers(1, 3),
    heads=st.integers(1, 4),
    length=st.integers(1, 9),
    half_dim=st.integers(5, 9),
    seed=st.integers(0, 1000),
)
def test_any_shape_equals_the_definition(case: Case, batch: int, heads: int, length: int, half_dim: int, seed: int):
    encoding = case.build(head_dim=2 * half_dim, num_heads=heads)
    x = vectors(batch, heads, length, 2 * half_dim, seed=seed)
    positions = random_positions(case, batch, length, seed=seed)
    encoded, _ = encoding(x, x, positions=positions)
    assert encoded.shape == (batch, heads, length, encoding.output_dim)
    torch.testing.assert_close(encoded, apply_matrices(encoding, x, positions), **CLOSE)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_an_empty_sequence_and_an_empty_batch_pass(case: Case):
    encoding = case.build()
    for batch, length in ((2, 0), (0, 3)):
        x = torch.randn(batch, HEADS, length, HEAD_DIM)
        encoded, _ = encoding(x, x, positions=random_positions(case, length))
        assert encoded.shape == (batch, HEADS, length, encoding.output_dim)
