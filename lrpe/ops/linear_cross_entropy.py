"""Cross entropy of a linear output layer, a block of rows at a time: the logits of all rows never exist at once.

torch's own ``F.linear_cross_entropy`` (2.13, its chunked path) needs the same time and memory in float32, but it
returns the loss in the features' dtype (a sum in bfloat16 has two digits), forms float16 gradients before the loss
scale reaches them, and does not follow autocast. Hence this one.
"""

from __future__ import annotations

from collections.abc import Callable

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
        as_it_is = _is_known_one(upstream)  # then there is no pass over the gradients
        scaled = (
            None if gradient is None else (gradient if as_it_is else gradient * upstream).to(dtype)
            for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)  # type: ignore[attr-defined]
        )
        to_features, to_weight, to_bias = scaled
        return to_features, to_weight, None, to_bias, None, None, None


def _is_known_one(upstream: Tensor) -> bool:
    """Whether a gradient is 1, which a GPU would have to be waited for to know."""
    return not torch.compiler.is_compiling() and upstream.device.type == "cpu" and upstream.item() == 1


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

    def gradient(of: Tensor | None, needed: bool, make: Callable[..., Tensor]) -> Tensor | None:
        return make(of, dtype=wide) if of is not None and needed else None

    to_features = gradient(features, needs[0], torch.empty_like)
    to_weight = gradient(weight, needs[1], torch.zeros_like if len(features) == 0 else torch.empty_like)
    to_bias = gradient(bias, needs[2], torch.zeros_like)
    kept = targets != ignore_index
    targets, counts = targets.masked_fill(~kept, 0)[:, None], kept[:, None].to(wide)
    loss = torch.zeros((), dtype=wide, device=features.device)
    # One buffer for every block: memory fresh from the system costs a page fault every 4 KiB.
    buffer = torch.empty(min(rows, len(features)), len(weight), dtype=features.dtype, device=features.device)
    # A row's softmax is written over its logits where both have one dtype and the kernel goes row by row.
    in_place = not half and features.device.type == "cpu"
    for start in range(0, len(features), rows):
        block = slice(start, start + rows)
        x, target, count, logits = features[block], targets[block], counts[block], buffer[: len(features) - start]
        if bias is None:
            torch.mm(x, weight.T, out=logits)
        else:
            torch.addmm(bias.to(x.dtype), x, weight.T, out=logits)
        largest, said = logits.amax(-1, keepdim=True).to(wide), logits.gather(-1, target).to(wide)
        p = torch.softmax(logits, -1, dtype=wide, out=logits if in_place else None)
        # log sum exp = the largest logit - log of its p, the one p that is never tiny
        loss += ((largest - p.amax(-1, keepdim=True).log() - said) * count).sum()
        if to_features is None and to_weight is None and to_bias is None:
            continue
        p.scatter_add_(-1, target, torch.full_like(said, -1.0))
        # What does not count is left out of the small factors below: p is read as seldom as it can be.
        if to_bias is not None:
            to_bias += p.mul_(count).sum(0)
        if half:
            p = p.mul_(scale).to(x.dtype)
        if to_features is not None:
            _product(p, weight, out=to_features[block]).mul_(count)
        if to_weight is not None:
            _product(p.T, x * count.to(x.dtype), out=to_weight, add=start > 0)
    for total in (to_features, to_weight):
        if total is not None and scale != 1.0:
            total /= scale
    return loss, to_features, to_weight, to_bias


def _product(left: Tensor, right: Tensor, *, out: Tensor, add: bool = False) -> Tensor:
    """out = left right, or out += left right, summed in out's dtype."""
    if left.dtype != out.dtype:
        if left.is_cuda and "dtype" in torch.ops.aten.mm.overloads():
            product = torch.mm(left, right, out_dtype=out.dtype)
            return out.add_(product) if add else out.copy_(product)
        left, right = left.to(out.dtype), right.to(out.dtype)
    return out.addmm_(left, right) if add else torch.mm(left, right, out=out)
