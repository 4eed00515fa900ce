"""Stochastic positional encoding: relative in expectation, one noise for all that has to share it."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from lrpe.encodings import SPE
from lrpe.encodings.parts.spe_noise import gaussian
from tests.lrpe.encodings.encoding_cases import random_vectors, scores

KINDS = [{"kind": "sine", "num_sines": 2}, {"kind": "conv", "kernel_size": 4}]


def state_of(generator_seed: int) -> torch.Tensor:
    torch.manual_seed(generator_seed)
    return torch.get_rng_state()


def kernel_of(encoding: SPE, difference: int) -> torch.Tensor:
    """The covariance of a query's and a key's code at s - t = difference, written out: (heads, head_dim)."""
    codes = encoding.codes
    if hasattr(codes, "gains"):
        turns = torch.sigmoid(codes.frequencies.double()) / 2
        waves = torch.cos(2 * math.pi * turns * difference + codes.offsets.double())
        covariance = (F.softplus(codes.gains.double()) ** 2 * waves).sum(-1) / (2 * codes.gains.shape[-1])
    else:
        size = codes.query_kernel.shape[-1]
        covariance = torch.zeros(encoding.num_heads, encoding.head_dim, dtype=torch.float64)
        for i in range(size):
            for j in range(size):
                # z(s + i) and z(t + j) are the same number where s + i = t + j.
                if difference + i == j:
                    covariance += codes.query_kernel[..., i].double() * codes.key_kernel[..., j].double()
    if encoding.gate is not None:
        gate = torch.sigmoid(encoding.gate.double())
        covariance = gate * covariance + (1 - gate)
    return math.sqrt(encoding.output_dim / encoding.head_dim) * covariance


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


def test_noise_is_standard_normal_and_uncorrelated():
    noise = gaussian(torch.tensor(5), 0, torch.arange(400), 1001).double()
    count = noise.numel()
    assert noise.shape == (400, 1001)
    assert abs(noise.mean().item()) < 5 / math.sqrt(count)
    assert abs(noise.var().item() - 1) < 5 * math.sqrt(2 / count)
    assert abs((noise**4).mean().item() - 3) < 5 * math.sqrt(96 / count)
    for one, other in (
        (noise[:, 1:], noise[:, :-1]),
        (noise[1:], noise[:-1]),
        (noise[:, ::2][:, :500], noise[:, 1::2]),
    ):
        assert abs((one * other).mean().item()) < 5 / math.sqrt(one.numel())
    below = (noise < 1).double().mean().item()
    assert below == pytest.approx(0.841345, abs=5 * math.sqrt(0.13 / count))


def test_noise_is_a_function_of_key_stream_row_and_column():
    key = torch.tensor(5)
    noise = gaussian(key, 0, torch.arange(-3, 50), 10)
    assert torch.equal(gaussian(key, 0, torch.tensor([40, -3, 7]), 10), noise[[43, 0, 10]])
    assert (gaussian(key, 1, torch.arange(-3, 50), 10) != noise).all()
    assert (gaussian(key + 1, 0, torch.arange(-3, 50), 10) != noise).all()
    assert noise.flatten().unique().numel() == noise.numel()


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


@pytest.mark.parametrize("options", KINDS)
def test_two_axes_multiply_their_kernels(options: dict):
    """E<q'', k''> = (sum_d q_d k_d kernel1_d(rows)) mean_r kernel2_r(columns): relative in each axis, none swapped."""
    encoding = SPE(2, 1, ndim=2, num_realizations=1500, seed=0, **options).double().eval()
    query, key = random_vectors(1, 1, 3, 2).abs() + 1, random_vectors(1, 1, 3, 2, seed=1).abs() + 1
    positions = torch.tensor([[0, 0], [2, 1], [1, 5]])
    found = scores(*encoding(query, key, positions=positions))[0, 0].detach()
    rows = torch.stack([kernel_of_axis(encoding, d) for d in range(-2, 3)], dim=-1)
    columns = torch.stack([kernel_of(encoding.next_axis, d).mean() for d in range(-5, 6)])
    for s, t in ((s, t) for s in range(3) for t in range(3)):
        row, column = (positions[s] - positions[t]).tolist()
        expected = (query[0, 0, s] * key[0, 0, t] * rows[0, :, row + 2]).sum() * columns[column + 5]
        assert abs(found[s, t] - expected) < 0.15 * found.abs().max()
    there = scores(*encoding(query, key, positions=positions.flip(-1)))[0, 0].detach()
    assert (found - there).abs().max() > 0.01 * found.abs().max()


@pytest.mark.parametrize("axes", ["own", "shared"])
@pytest.mark.parametrize("options", KINDS)
def test_the_positional_kernel_of_two_axes_is_their_product(options: dict, axes: str):
    encoding = SPE(4, 2, ndim=2, axes=axes, seed=0, **options)
    first, last = kernel_of(encoding, 0).mean(1), encoding.next_axis or encoding
    expected = torch.stack([first * kernel_of(last, d).mean(1) for d in range(5)], dim=-1).detach()
    torch.testing.assert_close(encoding.positional_kernel(5), expected, rtol=0, atol=1e-6)


def kernel_of_axis(encoding: SPE, difference: int) -> torch.Tensor:
    return kernel_of(encoding, difference).detach()


@pytest.mark.parametrize("options", KINDS)
def test_a_part_of_an_image_gets_the_codes_it_has_in_the_whole(options: dict):
    encoding = SPE(4, 2, ndim=2, seed=0, **options).eval()
    grid = torch.cartesian_prod(torch.arange(4), torch.arange(3))
    x = random_vectors(1, 2, 12, 4, dtype=torch.float32)
    whole = encoding.encode_key(x, positions=grid)
    torch.testing.assert_close(encoding.encode_key(x[:, :, 5:7], positions=grid[5:7]), whole[:, :, 5:7])


@pytest.mark.parametrize("options", KINDS)
def test_shared_axes_have_one_set_of_parameters_and_noise_of_their_own(options: dict):
    """The published image models: half of the parameters; a row's offset is no column's in one realization."""
    shared, own = (SPE(4, 2, ndim=2, axes=axes, seed=0, **options) for axes in ("shared", "own"))
    one = SPE(4, 2, seed=0, **options)
    counts = [sum(parameter.numel() for parameter in encoding.parameters()) for encoding in (one, shared, own)]
    assert counts[1] == counts[0]
    assert counts[2] == 2 * counts[0]
    x = random_vectors(1, 2, 1, 4).expand(1, 2, 2, 4)
    across = shared.encode_query(x, positions=torch.tensor([[0, 3], [3, 0]]))[0]
    assert not torch.allclose(across[:, 0], across[:, 1])


def test_shared_axes_are_relative_on_average():
    """The mean over 300 realizations at three patches, and at the same patches moved: within 4.5 standard errors."""
    encoding = SPE(4, 2, ndim=2, axes="shared", seed=0)
    query, key = random_vectors(1, 2, 3, 4).abs() + 1, random_vectors(1, 2, 3, 4, seed=1).abs() + 1
    patches, samples = torch.tensor([[0, 0], [2, 1], [1, 5]]), []
    torch.manual_seed(0)
    with torch.no_grad():
        for positions in (patches, patches + torch.tensor([7, 3])):
            samples.append(torch.stack([scores(*encoding(query, key, positions=positions)) for _ in range(300)]))
    error = sum(sample.var(0) / 300 for sample in samples).sqrt()
    assert ((samples[0].mean(0) - samples[1].mean(0)).abs() < 4.5 * error).all()


def test_shared_axes_need_as_many_realizations_as_features():
    with pytest.raises(ValueError, match="num_realizations = head_dim = 4, got 6"):
        SPE(4, 2, ndim=2, axes="shared", num_realizations=6)
