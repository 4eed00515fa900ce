"""Positions with several axes: which differences of position an encoding can see."""

from __future__ import annotations

import itertools

import pytest
import torch

from lrpe.encodings import build_encoding
from tests.lrpe.encodings.encoding_cases import random_vectors, scores

SIZE = 6
GRID = torch.tensor(list(itertools.product(range(SIZE), range(SIZE))))

RELATIVE = [
    ("rope", {}),
    ("lrpe", {"core": "orthogonal", "projection": "householder"}),
    ("lrpe", {"core": "orthogonal", "learn_angles": True}),
    ("lrpe", {"core": "orthogonal_mixed"}),
    ("lrpe", {"core": "unitary"}),
    ("lrpe", {"core": "permutation", "projection": "householder"}),
    ("permuteformer", {"decay": False}),
]


def encoded_grid(name: str, options: dict, axes: str) -> torch.Tensor:
    """One vector encoded at every place of a square: (rows columns heads features)."""
    seed = {} if name == "rope" else {"seed": 0}
    encoding = build_encoding(name, head_dim=24, num_heads=2, ndim=2, axes=axes, **seed, **options)
    x = random_vectors(1, 2, 1, 24).expand(1, 2, len(GRID), 24)
    encoded = encoding.encode_query(x, positions=GRID)[0]
    return encoded.transpose(0, 1).reshape(SIZE, SIZE, -1).detach()


@pytest.mark.parametrize(("name", "options"), RELATIVE)
def test_shared_axes_see_the_sum_of_row_and_column_only(name: str, options: dict):
    """The published image models: (0, 5) and (5, 0) are the same place to them."""
    grid = encoded_grid(name, options, "shared")
    for row, column in itertools.product(range(SIZE), range(SIZE)):
        for other_row in range(SIZE):
            other_column = row + column - other_row
            if 0 <= other_column < SIZE:
                torch.testing.assert_close(grid[row, column], grid[other_row, other_column], rtol=0, atol=1e-12)
    assert (grid[0, 0] - grid[0, 1]).norm() > 1e-3


@pytest.mark.parametrize("axes", ["own", "split"])
@pytest.mark.parametrize(("name", "options"), RELATIVE)
def test_own_and_split_axes_tell_all_places_apart(name: str, options: dict, axes: str):
    places = encoded_grid(name, options, axes).flatten(0, 1)
    distance = torch.cdist(places[None], places[None])[0] + 10 * torch.eye(len(places))
    assert distance.min() > 1e-2


def test_fixed_own_angles_differ_on_the_axes_in_every_pair_and_are_the_same_set():
    values = build_encoding("rope", head_dim=12, num_heads=1, ndim=3, axes="own").core.angles.values[:, 0]
    expected = 10000.0 ** (-torch.arange(6).double() / 6)
    for axis in range(3):
        torch.testing.assert_close(values[axis].sort(descending=True).values, expected)
    for one, other in itertools.combinations(values, 2):
        assert (one != other).all()


def test_split_axes_have_their_own_pairs_and_each_the_whole_schedule():
    encoding = build_encoding("rope", head_dim=12, num_heads=1, ndim=2, axes="split")
    schedule = 10000.0 ** (-torch.arange(3).double() / 3)
    torch.testing.assert_close(encoding.core.angles.values[0, 0], schedule.repeat(2))
    x = random_vectors(1, 1, 1, 12)
    here, there = (encoding.encode_query(x, positions=torch.tensor([[2, column]])) for column in (3, 50))
    assert torch.equal(here[..., :6], there[..., :6])
    assert (here[..., 6:] != there[..., 6:]).all()


def test_one_dimension_is_the_same_for_all_axes_choices():
    x = random_vectors(1, 2, 5, 8)
    encoded = [
        build_encoding("rope", head_dim=8, num_heads=2, axes=axes)(x, x)[0] for axes in ("own", "split", "shared")
    ]
    assert torch.equal(encoded[0], encoded[1])
    assert torch.equal(encoded[0], encoded[2])


def test_a_permutation_s_axes_move_different_channels():
    encoding = build_encoding("lrpe", head_dim=16, num_heads=1, core="permutation", ndim=2, seed=0)
    x = torch.arange(16.0).view(1, 1, 1, 16)
    encoded = encoding.encode_query(x, positions=torch.tensor([[1, 0]])).flatten()
    assert torch.equal(encoded[8:], torch.arange(8.0, 16.0))
    assert not torch.equal(encoded[:8], torch.arange(8.0))
    assert torch.equal(encoded[:8].sort().values, torch.arange(8.0))


def test_scores_of_an_image_depend_on_the_offset_between_patches():
    encoding = build_encoding(
        "lrpe", head_dim=24, num_heads=2, core="unitary", projection="householder", ndim=2, seed=0
    )
    query, key = random_vectors(1, 2, 36, 24), random_vectors(1, 2, 36, 24, seed=1)
    here = scores(*encoding(query, key, positions=GRID))
    there = scores(*encoding(query, key, positions=GRID + torch.tensor([7, -40])))
    torch.testing.assert_close(here, there, rtol=0, atol=1e-11)
    turned = scores(*encoding(query, key, positions=GRID.flip(-1)))
    assert (here - turned).abs().max() > 1e-2
