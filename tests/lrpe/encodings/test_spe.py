"""Stochastic positional encoding: relative in expectation, one noise for all that has to share it."""

from __future__ import annotations

import math

import pytest
import torch

from lrpe.encodings import SPE
from tests.lrpe.encodings.encoding_cases import random_vectors, scores
from tests.lrpe.encodings.spe_cases import KINDS, kernel_of


def state_of(generator_seed: int) -> torch.Tensor:
    torch.manual_seed(generator_seed)
    return torch.get_rng_state()


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("gated", [False, True])
def test_the_closed_form_kernel(options: dict, gated: bool):
    encoding = SPE(3, 2, num_realizations=6, gated=gated, seed=0, **options)
    differences = torch.arange(-6, 7)
    expected = torch.stack([kernel_of(encoding, difference) for difference in differences.tolist()], dim=-1)
    torch.testing.assert_close(encoding.kernel(differences), expected.detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("gated", [False, True])
def test_scores_converge_to_the_kernel(options: dict, gated: bool):
    """With R realizations the error of the mean falls as R^(-1/2): bounded at 5 standard deviations for R = 40,000.

    The product of two standard normal codes with correlation c has variance 1 + c^2 <= 2 times the product of their
    variances.
    """
    realizations = 40_000
    encoding = SPE(1, 2, num_realizations=realizations, gated=gated, seed=1, **options).double().eval()
    length = 7
    ones = torch.ones(1, 2, length, 1, dtype=torch.float64)
    query, key = encoding(ones, ones)
    observed = scores(query, key)[0].detach()
    difference = torch.arange(length)[:, None] - torch.arange(length)
    expected = encoding.kernel(difference.flatten())[:, 0].view(2, length, length)
    spread = (query.square().sum(-1)[..., None] * key.square().sum(-1)[..., None, :]).sqrt()[0].detach()
    assert ((observed - expected).abs() <= 5 * math.sqrt(2 / realizations) * spread).all()
    unrelated = expected.transpose(-1, -2)
    assert ((observed - unrelated).abs() > 5 * math.sqrt(2 / realizations) * spread).any()


def test_features_do_not_mix_in_expectation():
    """E<q', k'> has no term q_d k_e with d != e: features have independent noise."""
    encoding = SPE(2, 1, num_realizations=40_000, gated=True, seed=0).eval()
    first, second = torch.eye(2).view(2, 1, 1, 1, 2)
    cross = encoding.encode_query(first, offset=3) @ encoding.encode_key(second, offset=3).mT
    same = encoding.encode_query(first, offset=3) @ encoding.encode_key(first, offset=3).mT
    assert cross.abs().item() < 0.05 * same.abs().item()


@pytest.mark.parametrize("options", KINDS)
def test_evaluation_is_deterministic_and_needs_no_generator(options: dict):
    encoding = SPE(6, 2, seed=0, **options).eval()
    x = random_vectors(2, 2, 5, 6)
    before = state_of(0)
    first = encoding(x, x)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    for one, other in zip(first, encoding(x, x), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("options", KINDS)
def test_training_redraws_and_follows_the_global_generator(options: dict):
    encoding = SPE(6, 2, seed=0, **options)
    x = random_vectors(2, 2, 5, 6)
    state = state_of(0)
    first, second = encoding(x, x)[0], encoding(x, x)[0]
    assert (first != second).all()
    torch.set_rng_state(state)
    assert torch.equal(encoding(x, x)[0], first)
    assert torch.equal(encoding(x, x)[0], second)


@pytest.mark.parametrize("options", KINDS)
def test_the_published_choice_redraws_in_evaluation_too(options: dict):
    encoding = SPE(6, 2, seed=0, resample="always", **options).eval()
    x = random_vectors(2, 2, 5, 6)
    assert (encoding(x, x)[0] != encoding(x, x)[0]).all()


@pytest.mark.parametrize("resample", ["train", "always"])
def test_query_and_key_share_the_noise_of_the_last_forward(resample: str):
    encoding = SPE(6, 2, seed=0, resample=resample)
    x = random_vectors(1, 2, 5, 6)
    for _ in range(2):
        query, key = encoding(x, x)
        assert torch.equal(encoding.encode_query(x), query)
        assert torch.equal(encoding.encode_key(x), key)


@pytest.mark.parametrize("options", KINDS)
def test_a_batch_and_its_sequences_share_the_noise(options: dict):
    encoding = SPE(6, 2, seed=0, **options).eval()
    x = random_vectors(3, 2, 5, 6)
    whole = encoding(x, x)[0]
    torch.testing.assert_close(encoding(x[1:2], x[1:2])[0], whole[1:2])
    positions = torch.stack([torch.arange(5)] * 3)
    torch.testing.assert_close(encoding(x, x, positions=positions)[0], whole)


def test_convolution_codes_are_the_same_for_gaps_repeats_and_any_order():
    encoding = SPE(6, 2, seed=0, kind="conv", kernel_size=3).eval()
    x = random_vectors(1, 2, 1, 6).expand(2, 2, 6, 6)
    whole = encoding.encode_query(x[:1, :, :1].expand(1, 2, 90, 6))[0]
    for positions in (torch.tensor([7, 3, 88, 3, 0, 12]), torch.tensor([[5, 4, 3, 2, 1, 0], [80, 81, 82, 83, 1, 1]])):
        encoded = encoding.encode_query(x, positions=positions)
        for row, wanted in zip(encoded, positions.expand(2, -1), strict=True):
            torch.testing.assert_close(row, whole[:, wanted])


def test_convolution_codes_of_dense_positions_have_shapes_that_do_not_depend_on_them():
    """The same codes as without, and a refusal of positions that lie farther apart."""
    codes = SPE(6, 2, seed=0, kind="conv", kernel_size=3).codes
    x, key = random_vectors(2, 2, 6, 6), torch.tensor(1)
    for positions in (torch.tensor([[7, 3, 4, 3, 5, 3]]), torch.tensor([[0, 0, 1, 1, 2, 2]])):
        dense, eager = (codes.plan(positions, key, x.dtype, dense=dense) for dense in (True, False))
        assert [part.shape[0] for part in dense] == [1, 3, 6 + 3 - 1]
        torch.testing.assert_close(codes(x, dense, is_query=True), codes(x, eager, is_query=True))
    with pytest.raises(RuntimeError, match="without torch.compile"):
        codes.plan(torch.tensor([[0, 1, 2, 3, 4, 6]]), key, x.dtype, dense=True)


def test_the_blocks_of_the_convolution_leave_no_seam():
    """Longer than a block, and not a multiple of it: against one position at a time."""
    encoding = SPE(2, 1, seed=0, kind="conv", kernel_size=5, num_realizations=3).eval()
    x = random_vectors(1, 1, 150, 2)
    whole = encoding.encode_key(x)
    single = torch.cat([encoding.encode_key(x[:, :, [s]], offset=s) for s in range(150)], dim=2)
    torch.testing.assert_close(whole, single)


@pytest.mark.parametrize("options", KINDS)
def test_the_batch_axis_fault_of_the_published_models(options: dict):
    """Codes along the batch: a sequence's tokens share one code, no order is seen, the slot in the batch is."""
    faulty = SPE(6, 2, seed=0, axis="batch", **options).eval()
    correct = SPE(6, 2, seed=0, axis="sequence", **options).eval()
    x = random_vectors(1, 2, 1, 6).expand(4, 2, 5, 6)
    query = faulty.encode_query(x)
    assert torch.equal(query[:, :, :1].expand_as(query), query)
    assert torch.equal(faulty.encode_query(x, offset=100), query)
    assert (query[0] != query[1]).any()
    along_sequence = correct.encode_query(x[:1, :, :1].expand(1, 2, 4, 6))
    torch.testing.assert_close(query[:, :, 0], along_sequence[0].transpose(0, 1))


def test_the_initial_parameters_have_the_published_distribution():
    encoding = SPE(64, 8, num_sines=5, seed=0)
    assert encoding.output_dim == 64
    assert encoding.codes.frequencies.mean().item() == pytest.approx(-4, abs=0.1)
    assert encoding.codes.offsets.std().item() == pytest.approx(1, abs=0.1)
    # gains / (sqrt(|gains|)/2): a norm n becomes 2 sqrt(n); n^2 has mean num_sines.
    norms = encoding.codes.gains.norm(dim=-1)
    assert ((norms / 2) ** 4).mean().item() == pytest.approx(5, rel=0.1)
    kernels = SPE(8, 2, kind="conv", kernel_size=8, seed=0).codes.query_kernel
    assert kernels.min() >= 0
    assert kernels.max() <= math.sqrt(2 / 8)
    assert kernels.mean().item() == pytest.approx(math.sqrt(2 / 8) / 2, rel=0.2)


@pytest.mark.parametrize("options", KINDS)
def test_noise_is_the_same_in_every_computing_dtype(options: dict):
    encoding = SPE(6, 2, seed=0, **options).eval()
    x = random_vectors(2, 2, 5, 6)
    exact = encoding.encode_query(x)
    torch.testing.assert_close(encoding.encode_query(x.float()).double(), exact, rtol=0, atol=1e-5)
    x = x.bfloat16()
    rounded = encoding.encode_query(x).double()
    torch.testing.assert_close(rounded, encoding.encode_query(x.double()), rtol=2**-8, atol=1e-5)


def test_far_positions_keep_their_phase():
    encoding = SPE(6, 2, seed=0).eval()
    x = random_vectors(1, 2, 3, 6)
    exact = encoding.encode_query(x, offset=2**20)
    torch.testing.assert_close(encoding.encode_query(x.float(), offset=2**20).double(), exact, rtol=0, atol=1e-5)


def test_spe_has_no_matrix():
    with pytest.raises(NotImplementedError, match="SPE is no fixed linear map"):
        SPE(6, 2).matrix(0)


def test_angles_of_the_sines_are_marked_against_weight_decay():
    assert SPE(6, 2).no_weight_decay() == {"codes.frequencies", "codes.offsets"}
