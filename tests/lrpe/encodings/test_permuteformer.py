"""PermuteFormer: one permutation a head and one decay a head."""

from __future__ import annotations

import math

import pytest
import torch

from lrpe.encodings import LRPE, PermuteFormer
from tests.lrpe.encodings.encoding_cases import random_vectors


@pytest.mark.parametrize("heads", [1, 4, 8])
def test_the_decay_is_the_published_ratio(heads: int):
    log_decay = PermuteFormer(8, heads, seed=0).log_decay
    ratios = [1 / (1 + math.exp(-(3 * h / heads + 2))) for h in range(heads)]
    assert log_decay.dtype == torch.float32
    assert log_decay.shape == (heads,)
    assert log_decay.tolist() == pytest.approx([math.log(ratio) for ratio in ratios], rel=1e-6)


def test_the_first_of_eight_heads_has_the_ratio_that_the_published_code_prints():
    assert PermuteFormer(8, 8, seed=0).log_decay[0].exp().item() == pytest.approx(0.8808, abs=5e-5)


def test_the_decay_is_optional():
    assert PermuteFormer(8, 2, decay=False).log_decay is None


def test_heads_have_their_own_permutation_unless_shared():
    x = random_vectors(1, 1, 5, 16).expand(1, 3, 5, 16)
    own, _ = PermuteFormer(16, 3, seed=0)(x, x)
    shared, _ = PermuteFormer(16, 3, permutation="shared", seed=0)(x, x)
    for head in (1, 2):
        assert not torch.equal(own[:, 0], own[:, head])
        assert torch.equal(shared[:, 0], shared[:, head])


def test_a_token_at_position_s_is_permuted_s_times():
    encoding = PermuteFormer(16, 2, seed=0)
    x = random_vectors(1, 2, 4, 16)
    encoded, _ = encoding(x, x)
    for head, permutation in enumerate(encoding.permutation.permutation):
        for position in range(4):
            expected = x[0, head, position]
            for _ in range(position):
                expected = expected[permutation]
            assert torch.equal(encoded[0, head, position], expected)


def test_the_fixed_permutation_is_the_same_in_all_heads_layers_and_runs():
    drawn = []
    for run in (1, 2):
        torch.manual_seed(run)
        drawn += [PermuteFormer(64, 8, permutation="fixed").permutation.permutation for _ in range(2)]
    assert drawn[0].shape == (1, 64)
    assert all(torch.equal(other, drawn[0]) for other in drawn)


def test_the_fixed_permutation_of_64_features_repeats_every_220_positions_as_the_published_one():
    encoding = PermuteFormer(64, 8, permutation="fixed", decay=False)
    _, start, length, _ = encoding.permutation.cycles[:, 0]
    cycles = {(int(s), int(n)) for s, n in zip(start, length, strict=True)}
    assert sorted(n for _, n in cycles) == [1, 2, 2, 4, 55]
    assert encoding.permutation.order == 220
    x = random_vectors(1, 8, 1, 64).expand(1, 8, 441, 64)
    encoded = encoding.encode_query(x)[0, 0]
    assert torch.equal(encoded[220], encoded[0])
    assert torch.equal(encoded[440], encoded[0])
    assert not any(torch.equal(encoded[position], encoded[0]) for position in range(1, 220))


def test_the_fixed_permutation_takes_no_seed():
    with pytest.raises(ValueError, match="seed=3 has no effect on permutation='fixed'"):
        PermuteFormer(64, 8, permutation="fixed", seed=3)


def test_the_order_of_several_heads_is_that_of_all_together():
    permutation = PermuteFormer(16, 3, seed=0).permutation
    each = [math.lcm(*permutation.cycles[2, head].tolist()) for head in range(3)]
    assert len(set(each)) > 1
    assert permutation.order == math.lcm(*each)


def test_shared_is_lrpe_s_permutation_core():
    x = random_vectors(1, 2, 4, 16)
    one, other = PermuteFormer(16, 2, permutation="shared", seed=5), LRPE(16, 2, core="permutation", seed=5)
    assert torch.equal(one(x, x)[0], other(x, x)[0])
