"""The positional kernel is the trace of W_d, whatever way an encoding computes it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from experiments.engine.kernels import encodings_of, kernel
from lrpe.encodings import build_encoding


def test_the_kernel_of_rotations_is_the_mean_cosine_whatever_the_projection() -> None:
    angles = 10_000 ** (-2 * torch.arange(8, dtype=torch.float64) / 16)
    expected = torch.stack([torch.cos(d * angles).mean() for d in range(40)])
    torch.testing.assert_close(kernel(build_encoding("rope", head_dim=16, num_heads=2), 40)[1], expected)
    for projection in ("householder", "dct", "odd_even"):
        encoding = build_encoding("lrpe", head_dim=16, num_heads=2, core="orthogonal", projection=projection, seed=3)
        # float32 parameters: the Householder vector is normalized in their precision
        torch.testing.assert_close(kernel(encoding, 40)[0], expected, atol=1e-6, rtol=0)


def test_the_kernel_is_what_unit_features_score_on_average() -> None:
    encoding = build_encoding("lrpe", head_dim=8, num_heads=1, core="unitary", projection="dft", seed=1).double()
    basis = torch.eye(8, dtype=torch.float64)[:, None, None]
    query = encoding.encode_query(basis)
    scores = [(query * encoding.encode_key(basis, offset=d)).sum() / 8 for d in range(20)]
    torch.testing.assert_close(kernel(encoding, 20)[0], torch.stack(scores))


@pytest.mark.parametrize("seed", range(3))
def test_the_kernel_of_permutations_counts_fixed_points_and_decays(seed: int) -> None:
    plain = build_encoding("permuteformer", head_dim=12, num_heads=2, decay=False, seed=seed)
    decaying = build_encoding("permuteformer", head_dim=12, num_heads=2, seed=seed)
    values = kernel(plain, 30)
    power = torch.arange(12).repeat(2, 1)
    for distance in range(30):
        fixed = (power == torch.arange(12)).double().mean(1)
        torch.testing.assert_close(values[:, distance], fixed)
        power = plain.permutation.permutation.gather(1, power)
    rates = torch.sigmoid(torch.tensor([2.0, 3.5], dtype=torch.float64))
    expected = values * rates[:, None] ** torch.arange(30)
    torch.testing.assert_close(kernel(decaying, 30), expected, atol=1e-6, rtol=0)


def test_no_encoding_sees_no_distance_and_faulty_spe_neither() -> None:
    assert torch.equal(kernel(build_encoding("none", head_dim=4, num_heads=1), 5), torch.ones(1, 5).double())
    spe = build_encoding("spe", head_dim=4, num_heads=1, axis="batch", seed=1)
    torch.testing.assert_close(kernel(spe, 5), torch.ones(1, 5).double())
    assert kernel(build_encoding("spe", head_dim=4, num_heads=1, seed=1), 64)[0, -1] < 0.999


def test_a_layer_has_one_kernel_though_an_encoding_of_two_axes_has_parts() -> None:
    layers = nn.ModuleList(build_encoding("spe", head_dim=4, num_heads=1, ndim=2, seed=1) for _ in range(2))
    assert list(encodings_of(layers)) == ["0", "1"]
    assert all(kernel(encoding, 5)[0, 0] == 1 for encoding in layers)
