"""Vectors added to the embeddings."""

from __future__ import annotations

import math

import pytest
import torch

from lrpe.encodings import LearnedPositions, SinusoidalPositions, build_absolute


def test_sinusoidal_is_fairseq_s_layout_from_position_zero():
    vectors = SinusoidalPositions(8)(5)
    assert vectors.shape == (5, 8)
    assert vectors.dtype == torch.float32
    for position in range(5):
        angles = [position * 10000 ** (-j / 3) for j in range(4)]
        expected = [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
        assert vectors[position].tolist() == pytest.approx(expected, abs=1e-7)


def test_sinusoidal_keeps_far_positions_and_low_precision_models_apart():
    positions = SinusoidalPositions(8)
    expected = [math.sin(2**20), math.cos(2**20)]
    assert positions(1, offset=2**20)[0, [0, 4]].tolist() == pytest.approx(expected, abs=2e-7)
    assert positions.bfloat16()(1, offset=2**20)[0, [0, 4]].tolist() == pytest.approx(expected, abs=2e-7)


def modules() -> list:
    return [SinusoidalPositions(8), LearnedPositions(8, 32)]


@pytest.mark.parametrize("module", modules(), ids=repr)
def test_a_suffix_equals_the_suffix_of_the_whole(module):
    whole = module(9)
    assert torch.equal(module(3, offset=6), whole[6:])
    assert torch.equal(module(3, positions=torch.arange(6, 9)), whole[6:])
    batched = module(torch.zeros(2, 3, dtype=torch.int64), positions=torch.tensor([[0, 1, 2], [4, 4, 8]]))
    assert torch.equal(batched, torch.stack((whole[:3], whole[[4, 4, 8]])))
    assert torch.equal(module(2, positions=torch.tensor([[3, 1]])), whole[[3, 1]][None])


@pytest.mark.parametrize("module", modules(), ids=repr)
def test_tokens_embeddings_or_a_length_tell_how_many(module):
    assert torch.equal(module(torch.zeros(2, 7, dtype=torch.int64)), module(7))
    assert torch.equal(module(torch.zeros(2, 7, 8)), module(7))
    with pytest.raises(ValueError, match=r"got \(7,\)"):
        module(torch.zeros(7))


def test_sinusoidal_vectors_have_the_embeddings_dtype():
    assert SinusoidalPositions(8)(torch.zeros(2, 7, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert SinusoidalPositions(8)(torch.zeros(2, 7, 8, dtype=torch.float64)).dtype == torch.float64


def test_learned_vectors_are_rows_of_the_parameter_and_learn():
    module = LearnedPositions(8, 32)
    module(torch.zeros(2, 4), offset=3).sum().backward()
    assert torch.equal(module(4, offset=3), module.weight[3:7])
    assert module.weight.grad.sum(1).tolist() == [0.0] * 3 + [8.0] * 4 + [0.0] * 25


def test_learned_vectors_start_with_fairseq_s_spread():
    torch.manual_seed(0)
    assert LearnedPositions(64, 2000).weight.std().item() == pytest.approx(64**-0.5, rel=0.02)


def test_learned_positions_end_with_a_clear_message():
    module = LearnedPositions(8, 32)
    module(32)
    for wrong in ({"x": 33}, {"x": 3, "offset": 30}, {"x": 1, "offset": -1}):
        with pytest.raises(ValueError, match="exceed the 32 learned ones"):
            module(**wrong)
    for position in (32, -1):
        with pytest.raises(ValueError, match=f"positions {position} to {position} exceed the 32"):
            module(1, positions=torch.tensor([position]))


def test_absolute_positions_by_name():
    assert build_absolute("none", 8, 32) is None
    assert isinstance(build_absolute("sinusoidal", 8, 32), SinusoidalPositions)
    learned = build_absolute("learned", 8, 32)
    assert isinstance(learned, LearnedPositions)
    assert learned.weight.shape == (32, 8)
    with pytest.raises(ValueError, match="absolute='sinusoid' is unknown, did you mean 'sinusoidal'"):
        build_absolute("sinusoid", 8, 32)


@pytest.mark.parametrize("embed_dim", [7, 2])
def test_sinusoidal_needs_an_even_dimension(embed_dim: int):
    with pytest.raises(ValueError, match=f"even and at least 4 for sinusoidal positions, got {embed_dim}"):
        SinusoidalPositions(embed_dim)


def test_dimensions_that_are_not_positive_are_refused():
    with pytest.raises(ValueError, match="max_positions must be a positive integer, got 0"):
        LearnedPositions(8, 0)
    with pytest.raises(ValueError, match="embed_dim must be a positive integer, got -8"):
        SinusoidalPositions(-8)


def test_positions_are_checked_as_in_relative_encodings():
    with pytest.raises(TypeError, match="must be integers"):
        SinusoidalPositions(8)(3, positions=torch.arange(3.0))
    with pytest.raises(ValueError, match=r"got \(4,\)"):
        SinusoidalPositions(8)(3, positions=torch.arange(4))
