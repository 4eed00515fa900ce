"""The parts of LRPE against formulas written out: angles, projections, permutation powers, decays, equivalences."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrpe.encodings import LRPE, RoPE
from lrpe.encodings.parts.permutation import decompose
from lrpe.encodings.parts.projections import CosineTransform, FourierTransform, OddEven
from tests.lrpe.encodings.encoding_cases import random_vectors, scores


def angles(**options) -> list[float]:
    return LRPE(8, 1, **options).core.angles.values.flatten().tolist()


def test_the_schedules_are_the_published_formulas():
    assert angles() == pytest.approx([1, 0.1, 0.01, 0.001])
    assert angles(core="orthogonal_mixed") == pytest.approx([1, 0.01])
    assert angles(core="unitary") == pytest.approx([10000 ** (-2 * j / 8) for j in range(8)])
    uniform = [math.pi * (j + 1) / (2 * 100 * 4) for j in range(4)]
    assert angles(angle_schedule="uniform", max_length=100) == pytest.approx(uniform)
    harmonic = [math.pi / (2 * 100 * (j + 1)) for j in range(4)]
    assert angles(angle_schedule="harmonic", max_length=100) == pytest.approx(harmonic)


def test_learned_angles_start_from_the_fixed_ones():
    for core in ("orthogonal", "orthogonal_mixed", "unitary"):
        assert angles(core=core, learn_angles=True) == pytest.approx(angles(core=core), rel=1e-7)


def test_the_number_of_parameters_is_that_of_the_choices():
    def count(**options) -> int:
        return sum(parameter.numel() for parameter in LRPE(64, 8, projection="householder", **options).parameters())

    assert count() == 0
    assert count(learn_angles=True) == 32
    assert count(learn_angles=True, core="orthogonal_mixed") == 16
    assert count(learn_angles=True, core="unitary") == 64
    assert count(learn_angles=True, core="unitary", share_heads=False) == 8 * 64
    assert count(learn_projection=True) == 64
    assert count(learn_projection=True, learn_angles=True, ndim=2) == 64 + 2 * 32


def test_the_mixed_core_leaves_the_second_half_alone():
    x = random_vectors(1, 1, 5, 12)
    encoded, _ = LRPE(12, 1, core="orthogonal_mixed")(x, x)
    assert torch.equal(encoded[..., 6:], x[..., 6:])
    assert (encoded[:, :, 1:, :6] != x[:, :, 1:, :6]).all()
    rounded_up, _ = LRPE(10, 1, core="orthogonal_mixed")(x[..., :10], x[..., :10])
    assert torch.equal(rounded_up[..., 6:], x[..., 6:10])
    assert (rounded_up[:, :, 1:, :6] != x[:, :, 1:, :6]).all()


def test_the_unitary_score_is_a_sum_of_cosines():
    query, key = random_vectors(1, 1, 4, 6), random_vectors(1, 1, 4, 6, seed=1)
    encoding = LRPE(6, 1, core="unitary")
    difference = torch.arange(4)[:, None] - torch.arange(4)
    theta = 10000.0 ** (-2 * torch.arange(6).double() / 6)
    waves = (difference[..., None] * theta).cos()
    expected = torch.einsum("sd,td,std->st", query[0, 0], key[0, 0], waves)
    torch.testing.assert_close(scores(*encoding(query, key))[0, 0], expected)


def test_rope_is_the_orthogonal_core_without_projection():
    x = random_vectors(2, 2, 6, 8)
    rope, lrpe = RoPE(8, 2), LRPE(8, 2, core="orthogonal", projection="identity")
    assert torch.equal(rope(x, x, offset=5)[0], lrpe(x, x, offset=5)[0])
    first, second = x[..., 0::2], x[..., 1::2]
    angle = torch.arange(6)[:, None] * 10000.0 ** (-2 * torch.arange(4).double() / 8)
    expected = torch.stack((first * angle.cos() - second * angle.sin(), first * angle.sin() + second * angle.cos()), -1)
    torch.testing.assert_close(rope(x, x)[0], expected.flatten(-2))


def test_odd_even_before_the_rotation_is_half_split_rope():
    query, key = random_vectors(1, 2, 6, 8), random_vectors(1, 2, 6, 8, seed=1)

    def half_split(x: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, dim=-1)
        angle = torch.arange(6)[:, None] * 10000.0 ** (-torch.arange(4).double() / 4)
        return torch.cat((first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()), -1)

    encoded = LRPE(8, 2, projection="odd_even")(query, key)
    torch.testing.assert_close(scores(*encoded), scores(half_split(query), half_split(key)))


def test_odd_even_is_the_published_order():
    assert OddEven(8).index.tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert OddEven(7).index.tolist() == [0, 4, 1, 5, 2, 6, 3]


def test_the_transforms_are_the_library_ones():
    fft = pytest.importorskip("scipy.fft")
    x = random_vectors(3, 2, 4, 10)
    torch.testing.assert_close(CosineTransform(10)(x), torch.from_numpy(fft.dct(x.numpy(), norm="ortho")))
    torch.testing.assert_close(torch.complex(*FourierTransform(10)(x).chunk(2, -1)), torch.fft.fft(x, norm="ortho"))


def test_half_of_the_spectrum_would_have_half_of_the_norm():
    """What a later state of the published code keeps, d/2 + 1 of d frequencies, against the paper's full transform."""
    x = random_vectors(1, 1, 4000, 64)
    real, imaginary = FourierTransform(64).double()(x).chunk(2, dim=-1)
    energy = real**2 + imaginary**2
    assert float(energy[..., :33].sum() / energy.sum()) == pytest.approx(0.516, abs=0.005)


def test_householder_reflects_its_vector_whatever_its_length():
    for learned in (False, True):
        projection = LRPE(8, 1, projection="householder", learn_projection=learned, seed=1).projection
        with torch.no_grad():
            projection.vector.mul_(37)
        vector = projection.vector.detach().double()
        across = random_vectors(1, 1, 1, 8)
        across = across - (across @ vector.mT) / (vector @ vector.mT) * vector
        torch.testing.assert_close(projection(vector.view(1, 1, 1, 8)), -vector.view(1, 1, 1, 8))
        torch.testing.assert_close(projection(across), across)


def test_heads_differ_where_they_are_not_shared():
    x = random_vectors(1, 1, 5, 12).expand(1, 3, 5, 12)
    for options in ({"core": "permutation"}, {"projection": "householder"}):
        shared, _ = LRPE(12, 3, share_heads=True, seed=0, **options)(x, x)
        own, _ = LRPE(12, 3, share_heads=False, seed=0, **options)(x, x)
        assert torch.equal(shared[:, 0], shared[:, 1])
        assert not torch.equal(own[:, 0], own[:, 1])


@settings(max_examples=50, deadline=None)
@given(size=st.integers(2, 40), power=st.integers(-(2**40), 2**40), seed=st.integers(0, 1000))
def test_cycles_give_any_power_of_a_permutation(size: int, power: int, seed: int):
    """Against repeated squaring, an algorithm that knows nothing of cycles."""
    permutation = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    order, start, length, rank = decompose(permutation[None])[:, 0]
    expected, square = torch.arange(size), permutation if power >= 0 else permutation.argsort()
    for bit in reversed(bin(abs(power))[2:]):
        expected = expected[square] if bit == "1" else expected
        square = square[square]
    assert torch.equal(order[start + (rank + power) % length], expected)


def test_a_permutation_has_no_largest_position():
    encoding = LRPE(64, 1, core="permutation", seed=0)
    x = random_vectors(1, 1, 3, 64)
    order = math.lcm(*encoding.core.cycles[2].flatten().tolist())
    far = 10**6 * order
    assert far > 512
    assert torch.equal(encoding.encode_query(x, offset=far), encoding.encode_query(x))


def test_the_decays_are_the_formulas():
    fixed = LRPE(8, 4, decay="fixed", layer_fraction=0.25).log_decay
    assert fixed.dtype == torch.float32
    assert fixed.tolist() == pytest.approx([-8 * h / 4 * 0.75 for h in range(4)])
    slopes = LRPE(8, 8, decay="slopes").log_decay
    assert slopes.tolist() == pytest.approx([-(2.0**-h) for h in range(1, 9)])
    six = LRPE(8, 6, decay="slopes", layer_fraction=0.5).log_decay
    assert six.tolist() == pytest.approx([-s / 2 for s in (1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2, 1 / 8)])
    assert LRPE(8, 4).log_decay is None
    assert LRPE(8, 4, decay="fixed").bfloat16().log_decay.dtype == torch.float32


def test_a_decay_does_not_change_what_is_encoded():
    x = random_vectors(1, 4, 5, 8)
    assert torch.equal(LRPE(8, 4, decay="fixed")(x, x)[0], LRPE(8, 4)(x, x)[0])
