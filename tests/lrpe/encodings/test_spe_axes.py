"""SPE on the axes of an image: kernels multiply, relative in each."""

from __future__ import annotations

import pytest
import torch

from lrpe.encodings import SPE
from tests.lrpe.encodings.encoding_cases import random_vectors, scores
from tests.lrpe.encodings.spe_cases import KINDS, kernel_of


@pytest.mark.parametrize("options", KINDS)
def test_two_axes_multiply_their_kernels(options: dict):
    """E<q'', k''> = (sum_d q_d k_d kernel1_d(rows)) mean_r kernel2_r(columns): relative in each axis, none swapped."""
    encoding = SPE(2, 1, ndim=2, num_realizations=1500, seed=0, **options).double().eval()
    query, key = random_vectors(1, 1, 3, 2).abs() + 1, random_vectors(1, 1, 3, 2, seed=1).abs() + 1
    positions = torch.tensor([[0, 0], [2, 1], [1, 5]])
    found = scores(*encoding(query, key, positions=positions))[0, 0].detach()
    rows = torch.stack([kernel_of(encoding, d).detach() for d in range(-2, 3)], dim=-1)
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
