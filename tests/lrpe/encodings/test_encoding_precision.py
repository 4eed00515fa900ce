"""Positions keep their precision: whatever the dtype of the inputs, of the model around, and however far they are."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from tests.lrpe.encodings.encoding_cases import (
    ALL,
    HEAD_DIM,
    HEADS,
    LINEAR,
    Case,
    apply_matrices,
    random_positions,
    random_vectors,
)

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
ROUNDING = {torch.float32: 2**-24, torch.bfloat16: 2**-8, torch.float16: 2**-11}


@pytest.mark.parametrize("case", ALL, ids=str)
def test_query_and_key_each_keep_their_dtype(case: Case):
    encoding = case.build()
    x = random_vectors(1, HEADS, 3, HEAD_DIM)
    for dtype, other in itertools.product(DTYPES, DTYPES):
        query, key = encoding(x.to(dtype), x.to(other), positions=random_positions(case, 3))
        assert (query.dtype, key.dtype) == (dtype, other)


@pytest.mark.parametrize("case", LINEAR, ids=str)
def test_the_error_is_that_of_rounding_the_result(case: Case):
    """Half precision: half a unit of the result's last place, as the arithmetic is float32.

    float32: the arithmetic of a few products over a head's features.
    """
    encoding = case.build()
    positions = random_positions(case, 6, low=0, high=5000)
    for dtype, rounding in ROUNDING.items():
        x = random_vectors(2, HEADS, 6, HEAD_DIM, dtype=dtype)
        encoded, _ = encoding(x, x, positions=positions)
        exact = apply_matrices(encoding, x, positions)
        bound = rounding * exact.abs() + 1.5e-6 * x.double().norm(dim=-1, keepdim=True)
        assert ((encoded.double() - exact).abs() <= bound).all(), dtype


@pytest.mark.parametrize("case", LINEAR, ids=str)
def test_positions_to_two_to_the_twenty_keep_their_angles(case: Case):
    encoding = case.build()
    x = random_vectors(1, HEADS, 4, HEAD_DIM, dtype=torch.float32)
    shape = (4,) if case.ndim == 1 else (4, case.ndim)
    positions = 2**20 - torch.arange(math.prod(shape)).view(shape)
    encoded, _ = encoding(x, x, positions=positions)
    exact = apply_matrices(encoding, x, positions)
    assert ((encoded - exact).norm(dim=-1) <= 1e-5 * exact.norm(dim=-1)).all()


CASTS = {"half": torch.half, "bfloat16": torch.bfloat16, "float": torch.float}


@pytest.mark.parametrize("case", ALL, ids=str)
def test_casting_the_model_does_not_touch_the_encoding(case: Case):
    encoding = case.build().eval()
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), encoding)
    x = random_vectors(1, HEADS, 4, HEAD_DIM, dtype=torch.float32)
    positions = random_positions(case, 4, low=10_000, high=20_000)
    before = encoding(x, x, positions=positions)
    for cast, dtype in CASTS.items():
        getattr(model, cast)()
        assert model[0].weight.dtype == dtype
        assert all(parameter.dtype == torch.float32 for parameter in encoding.parameters())
        for one, other in zip(before, encoding(x, x, positions=positions), strict=True):
            assert torch.equal(one, other), cast


def test_learned_angles_follow_the_model_to_float64_and_back():
    encoding = Case("lrpe", {"learn_angles": True}).build()
    values = encoding.core.angles.values.detach().clone()
    encoding.double()
    assert encoding.core.angles.values.dtype == torch.float64
    encoding.float()
    assert torch.equal(encoding.core.angles.values, values)


@pytest.mark.parametrize("case", [case for case in ALL if case.ndim == 1], ids=str)
def test_autocast_does_not_lower_the_precision(case: Case):
    encoding = case.build().eval()
    x = random_vectors(1, HEADS, 4, HEAD_DIM, dtype=torch.float32)
    plain = encoding(x, x, offset=4000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = encoding(x, x, offset=4000)
    for one, other in zip(plain, cast, strict=True):
        assert torch.equal(one, other)


def test_a_low_precision_call_leaves_nothing_behind():
    """No table is kept: a call in bfloat16, or for other lengths, does not change the next one."""
    used, fresh = (Case("rope").build() for _ in range(2))
    x = random_vectors(1, HEADS, 50, HEAD_DIM)
    used(x.bfloat16(), x.bfloat16())
    used(x[:, :, :3], x[:, :, :3])
    assert torch.equal(used(x, x)[0], fresh(x, x)[0])


@pytest.mark.parametrize("name", ["rope", "lrpe"])
def test_the_angle_of_a_far_position_is_that_of_exact_arithmetic(name: str):
    """Against math.fmod on exact integers: an independent reference for the range reduction."""
    encoding = Case(name).build(head_dim=4, num_heads=1)
    for position in (1, 1000, 2**20, 2**20 - 1, 2**30 + 1):
        x = torch.tensor([1.0, 0.0, 1.0, 0.0]).view(1, 1, 1, 4)
        encoded = encoding.encode_query(x, offset=position).flatten().tolist()
        expected = [f(position * theta) for theta in (1.0, 0.01) for f in (math.cos, math.sin)]
        assert encoded == pytest.approx(expected, abs=2e-7)
