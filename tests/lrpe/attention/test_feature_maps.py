"""Feature maps against their formulas."""

from __future__ import annotations

import math

import pytest
import torch

from lrpe.attention import FEATURE_MAPS, build_feature_map

OPTIONS = {"cosformer": {"max_length": 64}, "favor": {"seed": 3}}


def _x(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("1+elu", lambda x: torch.where(x > 0, x + 1, torch.exp(x))),
        ("relu", lambda x: x.clamp(min=0)),
        ("elu", lambda x: torch.where(x > 0, x, torch.exp(x) - 1)),
        ("silu", lambda x: x / (1 + torch.exp(-x))),
        ("identity", lambda x: x),
        ("exp", lambda x: torch.exp(x) / torch.exp(x.max(-1, keepdim=True).values)),
    ],
)
def test_elementwise_maps_are_their_formulas(name: str, formula: object) -> None:
    x = _x(2, 3, 5, 8)
    torch.testing.assert_close(build_feature_map(name, 8)(x), formula(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", FEATURE_MAPS)
def test_width_and_dtype(name: str) -> None:
    feature_map = build_feature_map(name, 8, **OPTIONS.get(name, {}))
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        out = feature_map(_x(2, 3, 5, 8).to(dtype))
        assert out.shape == (2, 3, 5, feature_map.output_dim)
        assert out.dtype == dtype


@pytest.mark.parametrize("name", FEATURE_MAPS)
def test_a_suffix_alone_is_the_suffix_of_the_whole(name: str) -> None:
    feature_map = build_feature_map(name, 8, **OPTIONS.get(name, {}))
    x = _x(1, 2, 12, 8)
    for is_query in (True, False):
        whole = feature_map(x, is_query=is_query)
        torch.testing.assert_close(feature_map(x[:, :, 7:], offset=7, is_query=is_query), whole[:, :, 7:])


def test_cosformer_is_relu_times_a_cosine_of_the_distance() -> None:
    query, key = _x(1, 1, 10, 4), _x(1, 1, 10, 4).flip(-1)
    feature_map = build_feature_map("cosformer", 4, max_length=20)
    scores = feature_map(query) @ feature_map(key).mT
    position = torch.arange(10, dtype=torch.float64)
    cosine = torch.cos(math.pi / 2 * (position[:, None] - position) / 20)
    torch.testing.assert_close(scores, query.relu() @ key.relu().mT * cosine, rtol=1e-12, atol=1e-12)


def test_favor_approximates_the_softmax_kernel() -> None:
    # short vectors: the estimate's variance grows with exp(|q + k|^2)
    query, key = 0.5 * _x(1, 1, 6, 8), 0.5 * _x(1, 1, 6, 8).flip(-2)
    feature_map = build_feature_map("favor", 8, num_features=40_000, seed=0)
    estimate = feature_map(query, is_query=True) @ feature_map(key).mT
    kernel = torch.exp(query @ key.mT / math.sqrt(8))
    # the factor a query that is taken off for stability cancels in the normalized weights
    weights, expected = estimate / estimate.sum(-1, keepdim=True), kernel / kernel.sum(-1, keepdim=True)
    assert ((weights - expected).abs() / expected).max() < 0.05
    assert estimate.min() > 0


def test_favor_directions_are_orthogonal_and_seeded() -> None:
    first, again, other = (build_feature_map("favor", 16, num_features=32, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.projection, again.projection)
    assert not torch.equal(first.projection, other.projection)
    gram = first.projection[:16] @ first.projection[:16].T
    assert (gram - torch.diag(gram.diagonal())).abs().max() < 1e-4
    assert "projection" in first.state_dict()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("relo", {}, "'relu'"),
        ("cosformer", {}, "max_length"),
        ("cosformer", {"max_length": 0}, "max_length=0"),
        ("relu", {"seed": 1}, "does not take"),
    ],
)
def test_what_cannot_be_is_refused(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_feature_map(name, 8, **options)
    with pytest.raises(ValueError, match="head_dim=0"):
        build_feature_map("relu", 0)


def test_cosformer_refuses_positions_beyond_its_length() -> None:
    with pytest.raises(ValueError, match="position 8"):
        build_feature_map("cosformer", 4, max_length=8)(_x(1, 1, 2, 4), offset=7)
