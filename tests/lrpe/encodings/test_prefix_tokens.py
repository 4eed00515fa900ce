"""A token without a position is seen, and sees, as if nobody had one; the others see each other as always."""

from __future__ import annotations

import pytest
import torch

from lrpe.encodings import build_encoding
from lrpe.encodings.parts.prefix_tokens import encode_with_free_tokens
from tests.lrpe.encodings.encoding_cases import LINEAR, Case, random_positions, random_vectors, scores

FREE, PLACED = 2, 5
WITHOUT_DECAY = [case for case in LINEAR if case.build().log_decay is None and not case.options.get("decay")]


@pytest.mark.parametrize("case", WITHOUT_DECAY, ids=str)
def test_scores_with_a_free_token_are_plain_and_others_are_encoded(case: Case):
    encoding = case.build().double()
    query = random_vectors(2, encoding.num_heads, FREE + PLACED, encoding.head_dim)
    key = random_vectors(2, encoding.num_heads, FREE + PLACED, encoding.head_dim, seed=1)
    positions = random_positions(case, PLACED)
    found = scores(*encode_with_free_tokens(encoding, query, key, positions=positions, count=FREE))
    plain = scores(query, key)
    torch.testing.assert_close(found[..., :FREE, :], plain[..., :FREE, :], rtol=0, atol=1e-10)
    torch.testing.assert_close(found[..., :FREE], plain[..., :FREE], rtol=0, atol=1e-10)
    among_placed = scores(*encoding(query[:, :, FREE:], key[:, :, FREE:], positions=positions))
    torch.testing.assert_close(found[..., FREE:, FREE:], among_placed, rtol=0, atol=1e-10)


def test_plain_scores_are_those_of_equal_positions():
    """P is unitary, so that a free token sees another as an encoded one sees a token at its own place."""
    encoding = build_encoding("lrpe", head_dim=8, num_heads=2, core="unitary", projection="householder", ndim=2, seed=0)
    x = random_vectors(1, 2, 3, 8)
    same_place = torch.full((3, 2), 7)
    expected = scores(*encoding.double()(x, x, positions=same_place))
    found = scores(*encode_with_free_tokens(encoding, x, x, positions=same_place[1:], count=1))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_a_decay_needs_a_distance():
    encoding = build_encoding("permuteformer", head_dim=8, num_heads=2)
    x = random_vectors(1, 2, 3, 8)
    with pytest.raises(ValueError, match="a token without a position has no distance, so no decay"):
        encode_with_free_tokens(encoding, x, x, positions=torch.arange(2), count=1)
