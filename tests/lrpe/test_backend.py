"""LRPE_BACKEND chooses the implementation."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lrpe.backend import runs_definition, runs_triton


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
