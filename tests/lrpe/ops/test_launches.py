"""How many kernels a device is given by causal linear attention, counted by the profiler without one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks.launches import attention, decay, launches
from lrpe.ops import linear_attention
from lrpe.ops.blocks import block_chunks, force_blocks

LIMIT = 60  # forward and backward at length 512
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "decay": {"log_decay": decay()},
    "denominator": {"denominator": True},
    "decay and denominator": {"log_decay": decay(), "denominator": True},
}


def count(batch: int, length: int, **options: Any) -> int:
    run = attention(batch, length, **options)
    with force_blocks("device"):
        run()  # powers of the decay are kept from the first call
        return launches(run).total()


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_launches_do_not_grow_with_the_batch(options: dict[str, Any]) -> None:
    batches = (1, 3) if options else (1, 3, 128)
    found = {count(batch, 512, **options) for batch in batches}
    assert len(found) == 1
    assert found.pop() <= LIMIT


def test_launches_grow_with_the_length_by_the_recursion_alone() -> None:
    short, long = count(1, 512), count(1, 65_536)
    assert long <= LIMIT + 4 * (65_536 // 64)
    assert (long - short) == 2 * (65_536 - 512) // 64, "one forward and one backward for each chunk of 64"


def test_blocks_are_chosen_by_the_device() -> None:
    assert block_chunks(torch.device("cpu"), 1024, 8) == 32
    assert block_chunks(torch.device("cuda"), 1024, 8) == 1024 * 8
    with force_blocks("cache"):
        assert block_chunks(torch.device("cuda"), 1024, 8) == 32
    with pytest.raises(ValueError, match="did you mean 'device'"), force_blocks("devise"):
        pass


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("length", [64, 200])
def test_a_devices_blocks_compute_the_definition_with_its_gradients(options: dict[str, Any], length: int) -> None:
    torch.manual_seed(0)
    inputs = [torch.rand(5, 8, length, 6, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    results = []
    for form in ("chunked", "definition"):
        with force_blocks("device"):
            out, end = linear_attention(*inputs, form=form, return_state=True, **options)
            loss = (out * torch.arange(6).cos()).sum() + end.key_value.sin().sum()
            results.append((out, end.key_value, *torch.autograd.grad(loss, inputs)))
    for found, exact in zip(*results, strict=True):
        torch.testing.assert_close(found, exact, rtol=1e-10, atol=1e-10)
