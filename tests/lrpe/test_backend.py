"""LRPE_BACKEND chooses the implementation."""

from __future__ import annotations

import pytest
import torch

from lrpe.backend import runs_definition, runs_triton


def test_unset_a_cpu_runs_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LRPE_BACKEND", raising=False)
    assert not runs_triton(torch.zeros(1))
    assert not runs_definition()


def test_an_unknown_backend_is_named_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRPE_BACKEND", "tritn")
    with pytest.raises(ValueError, match="LRPE_BACKEND='tritn'.*did you mean 'triton'"):
        runs_triton(torch.zeros(1))


def test_float64_never_runs_in_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    monkeypatch.setenv("LRPE_BACKEND", "triton")
    assert not runs_triton(torch.zeros(1, dtype=torch.float64))
    assert not runs_triton(torch.zeros(1), torch.zeros(1, dtype=torch.bfloat16)), "one dtype for all"
