"""Weights in timm's layout (DeiT and ViT) for our softmax vision transformer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import Tensor

from lrpe.models.vision_transformer import VisionTransformer


def load_timm_state_dict(model: VisionTransformer, state_dict: Mapping[str, Tensor]) -> None:
    """Copy the weights of a timm ``VisionTransformer`` (e.g. ``deit_small_patch16_224``) into ``model``.

    The models then compute the same function. timm's position of the class token, a constant, is added to the token;
    positions of another patch grid are not interpolated here, since the model does so itself.

    Args:
        model: of the same sizes, with ``attention="softmax"``, ``pooling="class_token"``, ``absolute="learned"``.
        state_dict: timm's; its tensors are copied.

    Raises:
        ValueError: the model is of another kind, or a tensor is missing, superfluous or of another shape.
    """
    config = model.config
    kind = (config.attention, config.pooling, config.absolute, config.encoding["name"])
    if kind != ("softmax", "class_token", "learned", "none"):
        raise ValueError(
            "timm's weights fit attention='softmax', pooling='class_token', absolute='learned' and no encoding, got "
            f"{', '.join(map(repr, kind))}"
        )
    try:
        converted = _convert(dict(state_dict), model)
        model.load_state_dict(converted)
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"these are no weights of a timm model of this size: {error}") from None


def _convert(source: dict[str, Tensor], model: VisionTransformer) -> dict[str, Tensor]:
    assert model.absolute is not None
    position = source.pop("pos_embed")[0]
    result = {
        "class_token": source.pop("cls_token")[0, 0] + position[0],
        "absolute.weight": position[1:].view_as(cast(Tensor, model.absolute.weight)),
        "patches.projection.weight": source.pop("patch_embed.proj.weight").flatten(1),
        "patches.projection.bias": source.pop("patch_embed.proj.bias"),
    }
    names = {
        "norm1": "attention_norm",
        "norm2": "ffn_norm",
        "attn.proj": "attention.output_projection",
        "mlp.fc1": "ffn_in",
        "mlp.fc2": "ffn_out",
    }
    for kind in ("weight", "bias"):
        result[f"final_norm.{kind}"] = source.pop(f"norm.{kind}")
        result[f"head.{kind}"] = source.pop(f"head.{kind}")
        for index in range(len(model.layers)):
            theirs, ours = f"blocks.{index}", f"layers.{index}"
            parts = source.pop(f"{theirs}.attn.qkv.{kind}").chunk(3)
            for part, tensor in zip(("query", "key", "value"), parts, strict=True):
                result[f"{ours}.attention.{part}_projection.{kind}"] = tensor
            for their, our in names.items():
                result[f"{ours}.{our}.{kind}"] = source.pop(f"{theirs}.{their}.{kind}")
    if source:
        raise KeyError(f"unexpected {next(iter(source))}")
    return result
