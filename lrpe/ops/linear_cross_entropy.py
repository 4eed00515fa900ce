"""Cross entropy of a linear output layer, a block of rows at a time: the logits of all rows never exist at once.

torch's own ``F.linear_cross_entropy`` (2.13, its chunked path) needs the same time and memory in float32, but it
returns the loss in the features' dtype (a sum in bfloat16 has two digits), forms float16 gradients before the loss
scale reaches them, and does not follow autocast. Hence this one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

ROWS = 512  # of logits at a time
_HALF = (torch.float16, torch.bfloat16)
# A probability of 1e-5 is subnormal in float16; this power of two moves it into range, and products sum in float32.
_FLOAT16_SCALE = 2.0**10


def linear_cross_entropy(
    features: Tensor,
    weight: Tensor,
    targets: Tensor,
    bias: Tensor | None = None,
    *,
    ignore_index: int = -100,
    rows: int = ROWS,
) -> Tensor:
    """sum_i -log softmax(W x_i + b)[t_i] over the targets that are not ``ignore_index``, in nats.

    The gradients (softmax - onehot) W, (softmax - onehot)^T X and its column sums are formed in the forward pass, while
    a block of logits is at hand (Hsu et al. 2024, "Liger kernel", section 3.2), so that the memory is one block of
    ``rows`` x classes, the gradient of W, and nothing else. Gradients are float32 until the loss's own gradient (a loss
    scale, 1 / accumulation) has multiplied them. Under autocast, features and weight are cast as for a linear layer.
    Differentiable once.

    Args:
        features: Float[..., width].
        weight: Float[classes, width], of the features' dtype unless under autocast.
        targets: Int64[...], one a row of features.
        bias: Float[classes].
        ignore_index: a target that neither counts nor has a gradient.
        rows: of logits at a time.

    Returns:
        Float32[] (Float64[] for float64 features).

    Raises:
        ValueError: shapes or dtypes that do not fit together, or ``rows`` below 1.
    """
    if features.shape[:-1] != targets.shape or weight.dim() != 2 or features.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"features {tuple(features.shape)}, weight {tuple(weight.shape)}, targets {tuple(targets.shape)}: expected "
            "(..., width), (classes, width), (...)"
        )
    if targets.dtype != torch.int64 or rows < 1:
        raise ValueError(f"targets of {targets.dtype}, rows={rows}: expected torch.int64 and at least 1")
    device = features.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        features, weight = features.to(dtype), weight.to(dtype)
    elif features.dtype != weight.dtype:
        raise ValueError(f"features of {features.dtype}, weight of {weight.dtype}: expected the same dtype")
    needs = (features.requires_grad, weight.requires_grad, bias is not None and bias.requires_grad)
    if not torch.is_grad_enabled():
        needs = (False, False, False)
    return _LinearCrossEntropy.apply(
        features.flatten(0, -2), weight, targets.flatten(), bias, ignore_index, rows, needs
    )


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        features: Tensor,
        weight: Tensor,
        targets: Tensor,
        bias: Tensor | None,
        ignore_index: int,
        rows: int,
        needs: tuple[bool, bool, bool],
    ) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            loss, *gradients = _forward(features, weight, targets, bias, ignore_index, rows, needs)
        ctx.dtypes = (features.dtype, weight.dtype, None if bias is None else bias.dtype)  # type: ignore[attr-defined]
        ctx.save_for_backward(*gradients)  # pyright: ignore[reportArgumentType] # torch takes None too
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, upstream: Tensor) -> tuple[Tensor | None, ...]:
        scaled = (
            None if gradient is None else (gradient * upstream).to(dtype)
            for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)  # type: ignore[attr-defined]
        )
        to_features, to_weight, to_bias = scaled
        return to_features, to_weight, None, to_bias, None, None, None


def _forward(
    features: Tensor,
    weight: Tensor,
    targets: Tensor,
    bias: Tensor | None,
    ignore_index: int,
    rows: int,
    needs: tuple[bool, bool, bool],
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """(loss, gradients of features, weight and bias as far as they are needed), in float32 or float64."""
    half = features.dtype in _HALF
    wide = torch.float32 if half else features.dtype
    scale = _FLOAT16_SCALE if features.dtype == torch.float16 else 1.0

    def gradient(of: Tensor | None, needed: bool) -> Tensor | None:
        return torch.zeros_like(of, dtype=wide) if of is not None and needed else None

    to_features, to_weight, to_bias = gradient(features, needs[0]), gradient(weight, needs[1]), gradient(bias, needs[2])
    kept = targets != ignore_index
    targets = targets.masked_fill(~kept, 0)[:, None]
    loss = torch.zeros((), dtype=wide, device=features.device)
    # One buffer for every block: memory fresh from the system costs a page fault every 4 KiB.
    buffer = torch.empty(min(rows, len(features)), len(weight), dtype=features.dtype, device=features.device)
    for start in range(0, len(features), rows):
        block = slice(start, start + rows)
        x, target, counts = features[block], targets[block], kept[block, None].to(wide)
        logits = torch.mm(x, weight.T, out=buffer[: len(x)]) if bias is None else None
        if logits is None:
            logits = torch.addmm(bias.to(x.dtype), x, weight.T, out=buffer[: len(x)])  # type: ignore[union-attr]
        largest, where = logits.max(-1, keepdim=True)
        said = logits.gather(-1, target).to(wide)
        # A row's softmax is written over its logits where both have one dtype and the kernel goes row by row.
        in_place = not half and features.device.type == "cpu"
        p = torch.softmax(logits, -1, dtype=wide, out=logits if in_place else None)
        normalizer = largest.to(wide) - p.gather(-1, where).log()  # log sum exp, from the one p that is never tiny
        loss += ((normalizer - said) * counts).sum()
        if to_features is None and to_weight is None and to_bias is None:
            continue
        p.scatter_add_(-1, target, torch.full_like(said, -1.0)).mul_(counts)
        if to_bias is not None:
            to_bias += p.sum(0)
        if half:
            p = p.mul_(scale).to(x.dtype)
        if to_features is not None:
            _add_product(to_features[block], p, weight)
        if to_weight is not None:
            _add_product(to_weight, p.T, x)
    for total in (to_features, to_weight):
        if total is not None and scale != 1.0:
            total /= scale
    return loss, to_features, to_weight, to_bias


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left right, summed in the total's dtype."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    elif left.is_cuda and "dtype" in torch.ops.aten.mm.overloads():
        total += torch.mm(left, right, out_dtype=total.dtype)
    else:
        total.addmm_(left.to(total.dtype), right.to(total.dtype))
