"""Which back end computes: by default, by LRPE_BACKEND, by ``with lrpe.backend(name)``."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lrpe import LRPE, LinearAttention, backend
from lrpe.ops import registry
from lrpe.ops.registry import case_of, resolve


def attended(*tensors: torch.Tensor) -> str:
    """The back end of causal attention among these tensors."""
    return resolve(case_of("attend", *tensors, key_dim=4, value_dim=4)).name


def test_kernels_wait_to_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ENVIRONMENT", "")
    monkeypatch.setattr(registry, "_resolved", {})
    monkeypatch.setattr("lrpe.ops.fla.find_spec", lambda name: None)
    with FakeTensorMode():
        on_gpu = torch.zeros(1, device="cuda")
    assert attended(torch.zeros(1)) == attended(on_gpu) == "torch"
    pytest.importorskip("triton")
    with backend("triton"):
        assert attended(on_gpu) == "triton"


def test_an_unknown_backend_is_named_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="backend='tritn'.*did you mean 'triton'"), backend("tritn"):
        pass
    monkeypatch.setattr(registry, "ENVIRONMENT", "tritn")
    monkeypatch.setattr(registry, "_resolved", {})
    with pytest.raises(ValueError, match="LRPE_BACKEND='tritn'.*did you mean 'triton'"):
        attended(torch.zeros(1))


def test_float64_never_runs_in_a_kernel() -> None:
    pytest.importorskip("triton")
    with backend("triton"):
        assert attended(torch.zeros(1, dtype=torch.float64)) == "torch"
        assert attended(torch.zeros(1), torch.zeros(1, dtype=torch.bfloat16)) == "torch", "one dtype for all"


def test_a_choice_is_made_once_for_a_case_and_the_environment_is_not_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choices: list[registry.Case] = []
    choose = registry._choose
    monkeypatch.setattr(registry, "_choose", lambda case: choices.append(case) or choose(case))
    monkeypatch.setattr(registry, "_resolved", {})
    monkeypatch.setattr(registry, "ENVIRONMENT", "")
    layer = LinearAttention(16, 2, encoding=LRPE(8, 2, seed=1))
    for length in (5, 9, 9):
        layer(torch.zeros(2, length, 16))
        monkeypatch.setenv("LRPE_BACKEND", "nonsense")
    assert len(choices) == len(set(choices))
    assert {case.operation for case in choices} == {"attend", "encode", "rotate"}


def test_the_innermost_choice_counts_and_ends_with_its_block() -> None:
    x = torch.zeros(1)
    with backend("definition"):
        with backend("torch"):
            assert attended(x) == "torch"
        assert attended(x) == "definition"
        with pytest.raises(ZeroDivisionError), backend("torch"):
            raise ZeroDivisionError
        assert attended(x) == "definition"


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
    options: dict[str, Any],
) -> None:
    torch.manual_seed(0)
    encoding = LRPE(8, 2, seed=1, **options).double()
    results = {}
    for name in ("torch", "definition"):
        inputs = [
            torch.randn(2, 2, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(i)) for i in (1, 2)
        ]
        wanted = [x.requires_grad_() for x in inputs] + [x for x in encoding.parameters() if x.requires_grad]
        with backend(name):
            outputs = encoding(*inputs, offset=3)
        loss = sum((x * torch.arange(1, x.shape[-1] + 1)).sin().sum() for x in outputs)
        results[name] = (*outputs, *torch.autograd.grad(loss, wanted))
        nodes = operators(outputs[0])
        assert any(name in ("_ReflectAndTurnBackward", "PermuteFeaturesBackward") for name in nodes) == (
            name == "torch" and options["projection"] != "dft"
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
