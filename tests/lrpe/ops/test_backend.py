"""LRPE_BACKEND chooses the implementation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lrpe import LRPE
from lrpe.ops.backend import runs_definition, runs_triton


def test_kernels_wait_to_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LRPE_BACKEND", raising=False)
    assert not runs_triton(torch.zeros(1))
    assert not runs_definition()
    with FakeTensorMode():
        on_gpu = torch.zeros(1, device="cuda")
    assert not runs_triton(on_gpu)
    pytest.importorskip("triton")
    monkeypatch.setenv("LRPE_BACKEND", "triton")
    assert runs_triton(on_gpu)


def test_an_unknown_backend_is_named_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRPE_BACKEND", "tritn")
    with pytest.raises(ValueError, match="LRPE_BACKEND='tritn'.*did you mean 'triton'"):
        runs_triton(torch.zeros(1))


def test_float64_never_runs_in_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    monkeypatch.setenv("LRPE_BACKEND", "triton")
    assert not runs_triton(torch.zeros(1, dtype=torch.float64))
    assert not runs_triton(torch.zeros(1), torch.zeros(1, dtype=torch.bfloat16)), "one dtype for all"


@pytest.mark.parametrize(
    "options",
    [
        {"core": "orthogonal", "projection": "householder", "learn_angles": True, "learn_projection": True},
        {"core": "orthogonal_mixed", "projection": "odd_even", "learn_angles": True},
        {"core": "unitary", "projection": "householder", "learn_angles": True, "learn_projection": True},
        {"core": "unitary", "projection": "dft", "learn_angles": True},
        {"core": "permutation", "projection": "dct"},
    ],
    ids=lambda options: f"{options['core']}-{options['projection']}",
)
def test_definition_encodes_operator_by_operator_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    encoding = LRPE(8, 2, seed=1, **options).double()
    results = {}
    for backend in ("torch", "definition"):
        monkeypatch.setenv("LRPE_BACKEND", backend)
        inputs = [
            torch.randn(2, 2, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(i)) for i in (1, 2)
        ]
        wanted = [x.requires_grad_() for x in inputs] + [x for x in encoding.parameters() if x.requires_grad]
        outputs = encoding(*inputs, offset=3)
        loss = sum((x * torch.arange(1, x.shape[-1] + 1)).sin().sum() for x in outputs)
        results[backend] = (*outputs, *torch.autograd.grad(loss, wanted))
        nodes = operators(outputs[0])
        assert any(name in ("_ReflectAndTurnBackward", "PermuteFeaturesBackward") for name in nodes) == (
            backend == "torch" and options["projection"] != "dft"
        ), nodes
    for found, exact in zip(*results.values(), strict=True):
        torch.testing.assert_close(found, exact, rtol=1e-11, atol=1e-11)


def operators(output: torch.Tensor) -> set[str]:
    """Names of the nodes of autograd's graph behind a tensor."""
    seen, waiting = set(), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [parent for parent, _ in node.next_functions]
    return {node.name() for node in seen}
