"""The noise of SPE: standard normal numbers that are a function of where they stand."""

from __future__ import annotations

import math

import pytest
import torch

from lrpe.encodings.parts.spe_noise import gaussian


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
