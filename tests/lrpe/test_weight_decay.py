"""What weight decay spares is said by classes, so every way to copy a model keeps it."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from lrpe import DecoderConfig, DecoderLM, LinearAttention, VisionConfig, VisionTransformer, no_weight_decay

LEARNED = {"name": "lrpe", "core": "orthogonal", "learn_angles": True, "seed": 1}
MODELS = {
    "attention": lambda: LinearAttention(16, 2, encoding=LEARNED),
    "decoder": lambda: DecoderLM(
        DecoderConfig(vocab_size=20, embed_dim=16, ffn_dim=16, num_heads=2, num_layers=2, encoding={"name": "spe"})
    ),
    "vision": lambda: VisionTransformer(
        VisionConfig(
            num_classes=3, image_size=8, patch_size=4, embed_dim=16, ffn_dim=16, num_heads=2, num_layers=1,
            encoding=LEARNED,
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_copies_name_what_the_original_names(name: str) -> None:
    model = MODELS[name]()
    named = model.no_weight_decay()
    assert named
    assert named <= {key for key, _ in model.named_parameters()}
    assert copy.deepcopy(model).no_weight_decay() == named
    assert no_weight_decay(AveragedModel(model)) == {f"module.{key}" for key in named}
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    assert torch.load(buffer, weights_only=False).no_weight_decay() == named
    other = MODELS[name]()
    other.load_state_dict({key: value.clone() for key, value in model.state_dict().items()}, assign=True)
    assert other.no_weight_decay() == named


def test_angles_that_are_not_learned_are_no_parameters_to_name() -> None:
    fixed = LinearAttention(16, 2, encoding={**LEARNED, "learn_angles": False})
    assert fixed.no_weight_decay() == set()
