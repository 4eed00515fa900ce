"""The chunked loss of a linear output layer is cross entropy, and no more than a block of its logits ever exists."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lrpe.ops.linear_cross_entropy import linear_cross_entropy

WIDTH, CLASSES, IGNORED = 24, 301, 1
ROW_COUNTS = [1, 7, 32, 33, 100]  # less than a block of 32, a block, one more, several


def _problem(count: int, dtype: torch.dtype, biased: bool) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    draw = torch.Generator().manual_seed(count)
    features = torch.randn(count, WIDTH, generator=draw, dtype=torch.float64)
    weight = torch.randn(CLASSES, WIDTH, generator=draw, dtype=torch.float64) * 0.5
    bias = torch.randn(CLASSES, generator=draw, dtype=torch.float64) if biased else None
    targets = torch.randint(0, CLASSES, (count,), generator=draw)
    targets[::5] = IGNORED
    leaves = (None if leaf is None else leaf.to(dtype).requires_grad_() for leaf in (features, weight, bias))
    features, weight, bias = leaves  # type: ignore[assignment]
    return features, weight, targets, bias


def _gradients(loss: Tensor, leaves: list[Tensor | None]) -> list[Tensor]:
    return list(torch.autograd.grad(loss, [leaf for leaf in leaves if leaf is not None]))


def _definition(features: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None) -> Tensor:
    logits = F.linear(features, weight, bias)
    log_p = F.log_softmax(logits, -1, dtype=torch.float64 if logits.dtype == torch.float64 else torch.float32)
    return F.nll_loss(log_p, targets, ignore_index=IGNORED, reduction="sum")


def _relative(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm().clamp_min(1e-300))


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("count", ROW_COUNTS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_loss_and_gradients_are_cross_entropys(count: int, biased: bool, dtype: torch.dtype, tolerance: float) -> None:
    features, weight, targets, bias = _problem(count, dtype, biased)
    leaves = [features, weight, bias]
    exact = [None if leaf is None else leaf.detach().double().requires_grad_() for leaf in leaves]
    expected = _definition(exact[0], exact[1], targets, exact[2])  # type: ignore[arg-type]
    found = linear_cross_entropy(features, weight, targets, bias, ignore_index=IGNORED, rows=32)
    assert found.dtype == dtype
    assert float(found) == pytest.approx(float(expected), rel=tolerance)
    if count == 1:
        assert float(found) == 0.0, "its one target is ignored"
    for ours, theirs in zip(_gradients(3 * found, leaves), _gradients(3 * expected, exact), strict=True):
        assert _relative(ours, theirs) < tolerance or (not theirs.any() and not ours.any())


@pytest.mark.parametrize("shape", [(3, 11), (2, 2, 8), (0,)])
def test_any_leading_shape(shape: tuple[int, ...]) -> None:
    features = torch.randn(*shape, WIDTH, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(CLASSES, WIDTH, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(2, CLASSES, shape)
    loss = linear_cross_entropy(features, weight, targets, rows=4)
    expected = F.cross_entropy(features.reshape(-1, WIDTH) @ weight.T, targets.reshape(-1), reduction="sum")
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert features.grad is not None
    assert features.grad.shape == features.shape


def test_gradcheck() -> None:
    features, weight, targets, bias = _problem(9, torch.float64, True)
    weight, bias = weight[:13].detach().requires_grad_(), bias[:13].detach().requires_grad_()  # type: ignore[index]
    targets = targets % 13
    assert torch.autograd.gradcheck(
        lambda *leaves: linear_cross_entropy(leaves[0], leaves[1], targets, leaves[2], ignore_index=IGNORED, rows=4),
        (features, weight, bias),
    )


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_logits_beyond_the_exponentials_range(size: float) -> None:
    features, weight, targets, _ = _problem(40, torch.float32, False)
    features = (features.detach() * size).requires_grad_()
    found = linear_cross_entropy(features, weight, targets, ignore_index=IGNORED, rows=32)
    expected = _definition(features, weight, targets, None)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(_gradients(found, [features, weight]), _gradients(expected, [features, weight]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_sums_in_float32(dtype: torch.dtype) -> None:
    """As near to the exact value as cross entropy of half-precision logits is, where a half-precision sum is not."""
    features, weight, targets, _ = _problem(100, dtype, False)
    exact = [leaf.detach().double().requires_grad_() for leaf in (features, weight)]
    expected = _definition(exact[0], exact[1], targets, None)
    found = linear_cross_entropy(features, weight, targets, ignore_index=IGNORED, rows=32)
    plain = _definition(features, weight, targets, None)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(float(plain), rel=1e-6)
    assert float(found) == pytest.approx(float(expected), rel=1e-3)
    gradients = (
        _gradients(found, [features, weight]),
        _gradients(plain, [features, weight]),
        _gradients(expected, exact),
    )
    for ours, theirs, true in zip(*gradients, strict=True):
        assert ours.dtype == dtype
        assert _relative(ours, true) < 1.2 * _relative(theirs, true) + 1e-6


def test_float16_gradients_outlive_small_probabilities() -> None:
    """A probability of 1e-7 is lost in float16 unless the loss scale reaches it first."""
    features = torch.zeros(2, WIDTH, dtype=torch.float16, requires_grad=True)
    weight = torch.zeros(CLASSES, WIDTH, dtype=torch.float16)
    weight[5, 0] = 16.0
    features = torch.zeros(2, WIDTH).index_fill(1, torch.tensor([0]), 1.0).half().requires_grad_()
    weight.requires_grad_()
    loss = linear_cross_entropy(features, weight, torch.tensor([5, 5]))
    (gradient,) = torch.autograd.grad(2.0**12 * loss, [weight])
    expected = 2 * 2.0**12 * torch.softmax(weight.detach().double()[:, 0], 0)[7]
    assert float(gradient[7, 0]) == pytest.approx(float(expected), rel=0.01)
    assert expected > 1e-4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_casts_as_for_a_linear_layer(dtype: torch.dtype) -> None:
    features, weight, targets, bias = _problem(50, torch.float32, True)
    leaves = [features, weight, bias]
    with torch.autocast("cpu", dtype=dtype):
        found = linear_cross_entropy(features, weight, targets, bias, ignore_index=IGNORED, rows=32)
        expected = F.cross_entropy(
            F.linear(features, weight, bias).float(), targets, ignore_index=IGNORED, reduction="sum"
        )
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    for ours, theirs in zip(_gradients(found, leaves), _gradients(expected, leaves), strict=True):
        assert ours.dtype == torch.float32
        assert _relative(ours, theirs) < 1e-2


@pytest.mark.parametrize("which", [0, 1, 2])
def test_only_what_needs_a_gradient_gets_one(which: int) -> None:
    features, weight, targets, bias = _problem(40, torch.float64, True)
    leaves = [features, weight, bias]
    for index, leaf in enumerate(leaves):
        leaf.requires_grad_(index == which)  # type: ignore[union-attr]
    found = linear_cross_entropy(features, weight, targets, bias, ignore_index=IGNORED, rows=32)
    expected = _definition(features, weight, targets, bias)
    torch.testing.assert_close(_gradients(found, [leaves[which]]), _gradients(expected, [leaves[which]]))


def test_without_gradients_none_is_formed() -> None:
    features, weight, targets, _ = _problem(40, torch.float32, False)
    with torch.no_grad():
        found, products = _count(lambda: linear_cross_entropy(features, weight, targets, ignore_index=IGNORED, rows=32))
    assert not found.requires_grad
    assert products == {"mm": 2}


def test_a_second_backward_pass_and_accumulation() -> None:
    features, weight, targets, _ = _problem(40, torch.float64, False)
    loss = linear_cross_entropy(features, weight, targets, ignore_index=IGNORED, rows=32)
    loss.backward(retain_graph=True)
    once = weight.grad.clone()  # type: ignore[union-attr]
    (0.5 * loss).backward()
    torch.testing.assert_close(weight.grad, 1.5 * once)


@pytest.mark.parametrize("biased", [False, True])
def test_torch_compile_changes_nothing(biased: bool) -> None:
    torch._dynamo.reset()
    features, weight, targets, bias = _problem(40, torch.float64, biased)
    leaves = [features, weight, bias]

    def step(features: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None) -> Tensor:
        return 2 * linear_cross_entropy(features.sin(), weight, targets, bias, ignore_index=IGNORED, rows=32)

    found = torch.compile(step, backend="aot_eager", fullgraph=True)(features, weight, targets, bias)
    expected = step(features, weight, targets, bias)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(_gradients(found, leaves), _gradients(expected, leaves))


def test_no_tensor_is_larger_than_a_block_or_the_weight() -> None:
    features, weight, targets, _ = _problem(100, torch.float32, False)
    sizes: list[int] = []

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            out = func(*args, **(kwargs or {}))
            sizes.extend(each.numel() for each in (out if isinstance(out, tuple) else (out,)) if torch.is_tensor(each))
            return out

    with Sizes():
        linear_cross_entropy(features, weight, targets, ignore_index=IGNORED, rows=16).backward()
    assert max(sizes) == max(16, WIDTH) * CLASSES < 100 * CLASSES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": torch.zeros(3, dtype=torch.int64)}, r"targets \(3,\)"),
        ({"targets": torch.zeros(10, dtype=torch.int32)}, "int64"),
        ({"weight": torch.zeros(CLASSES, 5)}, r"weight \(301, 5\)"),
        ({"weight": torch.zeros(CLASSES, WIDTH, dtype=torch.float64)}, "same dtype"),
        ({"rows": 0}, "rows=0"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, message: str) -> None:
    good = {
        "features": torch.zeros(10, WIDTH),
        "weight": torch.zeros(CLASSES, WIDTH),
        "targets": torch.zeros(10, dtype=torch.int64),
    }
    with pytest.raises(ValueError, match=message):
        linear_cross_entropy(**{**good, **change})


def _count(step):  # type: ignore[no-untyped-def]
    """What ``step`` returns, and how many products it made, by operator."""
    found: dict[str, int] = {}

    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            name = func.overloadpacket.__name__.rstrip("_")
            if name in ("mm", "addmm"):
                found[name] = found.get(name, 0) + 1
            return func(*args, **(kwargs or {}))

    with Products():
        return step(), found
