"""The back end ``fla`` around a stand-in with the package's signatures, against the definition in float64."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch

from lrpe import backend, linear_attention
from lrpe.ops import fla, registry
from lrpe.ops.registry import Case, resolve
from lrpe.ops.state import LinearAttentionState
from tests.lrpe.ops import fla_stand_in

PACKAGE = find_spec("fla")
FUNCTIONS = {"chunk_simple_gla": "simple_gla", "chunk_linear_attn": "linear_attn"}
PINNED = {
    "chunk_simple_gla": [
        *("q", "k", "v", "g=None", "g_gamma=None", "scale=None", "initial_state=None", "output_final_state=False"),
        *("state_v_first=False", "cu_seqlens=None", "cu_seqlens_cpu=None", "**kwargs"),
    ],
    "chunk_linear_attn": [
        *("q", "k", "v", "scale=None", "initial_state=None", "output_final_state=False", "normalize=True"),
        "cu_seqlens=None",
    ],
}


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package, and CPU tensors for ones of a GPU."""
    for name, folder in FUNCTIONS.items():
        module = ModuleType(f"fla.ops.{folder}")
        setattr(module, name, getattr(fla_stand_in, name))
        monkeypatch.setitem(sys.modules, f"fla.ops.{folder}", module)
    for package in ("fla", "fla.ops"):
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    monkeypatch.setattr(fla, "find_spec", lambda name: name)
    monkeypatch.setattr(registry, "ENVIRONMENT", "")
    monkeypatch.setattr(registry, "_resolved", {})
    takes = fla.takes
    monkeypatch.setattr(fla, "takes", lambda case: takes(case._replace(device="cuda")))
    with backend("fla"):
        yield


def parameters(signature: inspect.Signature) -> list[str]:
    """Names and defaults, without annotations."""
    return [str(one.replace(annotation=inspect.Parameter.empty)) for one in signature.parameters.values()]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_stand_in_has_the_packages_signature(name: str) -> None:
    assert parameters(inspect.signature(getattr(fla_stand_in, name))) == PINNED[name]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_installed_package_has_the_pinned_signature(name: str) -> None:
    """Read from its source, because without a GPU it cannot be imported."""
    if PACKAGE is None or PACKAGE.origin is None:
        pytest.skip("flash-linear-attention is not installed (pip install lrpe[gpu])")
    source = Path(PACKAGE.origin).parent / "ops" / FUNCTIONS[name] / "chunk.py"
    (function,) = [node for node in ast.parse(source.read_text()).body if getattr(node, "name", "") == name]
    assert isinstance(function, ast.FunctionDef)
    plain = ast.parse(f"def {name}({', '.join(PINNED[name])}): ...").body[0]
    assert isinstance(plain, ast.FunctionDef)
    for argument in [*function.args.args, *filter(None, [function.args.kwarg])]:
        argument.annotation = None
    assert ast.unparse(function.args) == ast.unparse(plain.args)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("decay", [None, [-0.01, -0.5, 0.0]])
@pytest.mark.parametrize("denominator", [True, False])
@pytest.mark.parametrize("continued", [True, False])
def test_it_is_the_definition_with_its_gradients_and_states(
    dtype: torch.dtype, decay: list[float] | None, denominator: bool, continued: bool
) -> None:
    torch.manual_seed(0)
    inputs = [torch.rand(2, 3, 9, dim).to(dtype).requires_grad_() for dim in (6, 6, 4)]
    state = LinearAttentionState(torch.rand(2, 3, 6, 4), torch.rand(2, 3, 6) + 1, 5) if continued else None
    padding = torch.zeros(2, 9, dtype=torch.bool)
    padding[1, 6:] = True
    counts = []
    results = []
    for precise in (False, True):
        given = [x.detach().double().requires_grad_() if precise else x for x in inputs]
        start = state
        if precise and state is not None:
            start = LinearAttentionState(state.key_value.double(), state.key_sum.double(), 5)
        clamped = torch.zeros(2, dtype=torch.int64)
        out, end = linear_attention(
            *given, log_decay=None if decay is None else torch.tensor(decay), denominator=denominator, eps=1e-3,
            clamped=clamped, key_padding_mask=padding, state=start, return_state=True,
            form="recurrent" if precise else "auto",
        )  # fmt: skip
        loss = (out.double() * torch.arange(4).cos()).sum() + end.key_value.double().sin().sum()
        results.append((out, end.key_value, *torch.autograd.grad(loss, given)))
        counts.append(clamped.tolist())
        assert (end.key_sum is not None) == denominator
        assert end.position == 9 + 5 * continued
    assert results[0][1].dtype == torch.float32
    assert counts[0] == counts[1]
    bound = 3e-2 if dtype == torch.bfloat16 else 4e-3
    for found, exact in zip(*results, strict=True):
        assert (found.double() - exact).abs().max() < bound * exact.abs().max()


CUDA = Case("attend", "cuda", torch.bfloat16, key_dim=64, value_dim=64)


def test_it_is_the_default_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as unasked:
        unasked.setattr(registry, "_asked", [])
        assert resolve(CUDA).name == "fla"
        unasked.setattr(registry, "_resolved", {})
        unasked.setattr(fla, "find_spec", lambda name: None)
        assert resolve(CUDA).name == "torch", "where it is not installed"


@pytest.mark.parametrize(
    "change",
    [
        {"causal": False}, {"own_denominator": True}, {"one_token": True}, {"compiling": True}, {"key_dim": 63},
        {"value_dim": 33}, {"dtype": torch.float64}, {"dtype": torch.float32}, {"dtype": None},
        {"operation": "encode"},
    ],
    ids=str,
)  # fmt: skip
def test_what_it_cannot_take_falls_to_torch(change: dict[str, object]) -> None:
    assert resolve(CUDA._replace(**change)).name == "torch"


def test_float32_only_where_tf32_is_allowed() -> None:
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        assert fla.takes(CUDA._replace(dtype=torch.float32))
    finally:
        torch.set_float32_matmul_precision(before)


def test_asked_for_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fla, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="backend.'fla'.*pip install"):
        linear_attention(*torch.rand(3, 1, 1, 4, 16))
