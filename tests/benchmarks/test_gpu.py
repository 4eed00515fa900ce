"""What the GPU's benchmark makes of measured rows, and its checks where no GPU is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("triton")
if torch.cuda.is_available():
    pytest.skip("on a GPU it is run itself", allow_module_level=True)

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import checks
from benchmarks.gpu.peers import linear_attentions
from benchmarks.gpu.report import TARGETS, markdown, ratios


def row(what: str, milliseconds: float, length: int = 4096, **more: Any) -> dict[str, Any]:
    times = {"median_ms": milliseconds, "low_ms": milliseconds, "high_ms": milliseconds}
    return {"what": what, "batch": 8, "heads": 8, "length": length, "dim": 64, **times, **more}


def test_ratios_are_taken_within_a_shape_and_compared_with_their_target() -> None:
    times = [
        row("attention", 2.0),
        row("flash softmax", 5.0),
        row("attention", 1.0, length=2048),
        row("flash softmax", 0.5, length=2048),  # the target begins at 4,096 tokens
        row("unitary fused", 4.0),
        row("unitary, encode then attend", 6.0),
    ]
    found = {(one["ratio"], one["shape"][2]): one for one in ratios(times)}
    assert set(found) == {
        ("flash softmax / attention", 4096),
        ("unitary, encode then attend / unitary fused", 4096),
    }
    assert found["flash softmax / attention", 4096]["value"] == 2.5
    assert found["flash softmax / attention", 4096]["reached"]
    assert not found["unitary, encode then attend / unitary fused", 4096]["reached"], "1.5 of 2"


def test_short_sequences_have_a_target_of_their_own() -> None:
    found = list(ratios([row("attention", 1.0, length=512), row("fla chunk_linear_attn", 1.5, length=512)]))
    assert [(one["value"], one["target"], one["reached"]) for one in found] == [(1.5, 2.0, False)]


def test_an_encoding_is_a_share_of_a_copys_bandwidth() -> None:
    copy = {"what": "copy", "bytes": 1000, "median_ms": 1.0, "low_ms": 1.0, "high_ms": 1.0}
    (share,) = ratios([copy, row("encode, orthogonal", 2.0, bytes=1800)])
    assert share["value"] == 0.9
    assert share["reached"]


def test_every_target_names_rows_that_are_measured() -> None:
    """Spelt as ``benchmarks/gpu/timings.py`` and ``peers.py`` spell them."""
    folder = Path(checks.__file__).parent
    source = "".join((folder / name).read_text() for name in ("timings.py", "peers.py"))
    source += "".join(
        template.format(core=core) for core in checks.CORES
        for template in ("{core} fused", "{core}, encode then attend", "{core}, encode then fla")
    ) + "training step (triton) training step (definition)"  # fmt: skip
    for target in TARGETS:
        assert target.faster in source
        assert target.slower in source


def test_the_report_has_a_line_for_all_that_it_is_given() -> None:
    times = [row("attention", 2.0, launches=2), row("flash softmax", 5.0)]
    check = {
        "operator": "attend", "core": "orthogonal", "length": 40, "dim": 16, "dtype": "float16", "error": 0.0012,
        "bound": 0.003,
    }  # fmt: skip
    report = {
        "device": "a card", "torch": "2", "triton": "3", "fla": "not installed",
        "checks": [check], "times": times, "ratios": list(ratios(times)),
    }  # fmt: skip
    text = markdown(report)
    assert "# a card, torch 2, triton 3, fla not installed" in text
    assert "| flash softmax / attention | 8, 8, 4096, 64 | 2.50 | 1.0 | reached |" in text
    assert "| attention | 8, 8, 4096, 64 | 2.000 | 2.000 to 2.000 | 2 |" in text
    assert "| attend | orthogonal | 40, 16 | float16 | 1.2e-03 | 3e-03 |" in text


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("encode", torch.float16), ("attend", torch.bfloat16), ("encode and attend", torch.float32)],
)
def test_an_operator_is_within_its_bound_in_the_interpreter(name: str, dtype: torch.dtype) -> None:
    error = checks.error(name, "unitary", 40, 16, dtype)
    assert 0 < error < checks.BOUNDS[dtype]


def test_fla_is_checked_on_a_gpu_alone() -> None:
    assert {row["operator"] for row in _first_rows()} == {"encode", "attend", "encode and attend"}
    assert checks.backend_of("attend (fla)") == "fla"


def _first_rows() -> list[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checks, "error", lambda *case: 0.0)
        return list(checks.check())


def test_a_kernel_off_its_bound_ends_the_call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    wrong = {
        "operator": "attend", "core": "unitary", "length": 1, "dim": 16, "dtype": "float32", "error": 1.0, "bound": 0.1
    }  # fmt: skip
    monkeypatch.setattr(command, "check", lambda: iter([wrong]))
    monkeypatch.setattr(sys, "argv", ["gpu", "--check"])
    assert command.main() == 1
    assert "a kernel is off its bound" in capsys.readouterr().err


def test_timing_without_a_gpu_names_the_remedy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu"])
    assert command.main() == 2
    assert "--check runs the checks alone" in capsys.readouterr().err


def test_without_fla_nothing_stands_in_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fla.ops.linear_attn", None)
    assert linear_attentions(torch.zeros(2)) == {}


def test_fla_is_called_without_its_scale_and_normalizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signatures as of flash-linear-attention's chunk.py files; tensors (batch, length, heads, dim)."""
    calls: list[dict[str, Any]] = []

    def record(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **options: Any) -> tuple[Any, None]:
        calls.append({"shape": tuple(query.shape), **options})
        return value, None

    for module, name in (("linear_attn", "chunk_linear_attn"), ("simple_gla", "chunk_simple_gla")):
        monkeypatch.setitem(sys.modules, f"fla.ops.{module}", type(sys)(f"fla.ops.{module}"))
        setattr(sys.modules[f"fla.ops.{module}"], name, record)
    decay = torch.tensor([-0.1, -0.2])
    inputs = torch.zeros(3, 1, 2, 7, 4)
    outputs = [peer(*inputs).shape for peer in linear_attentions(decay).values()]
    assert outputs == [(1, 2, 7, 4)] * 2
    assert calls == [
        {"shape": (1, 7, 2, 4), "scale": 1.0, "normalize": False},
        {"shape": (1, 7, 2, 4), "scale": 1.0, "g_gamma": decay},
    ]
