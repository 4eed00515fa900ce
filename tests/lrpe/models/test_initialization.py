"""Initial weights: the published layers' distributions, by which figures of two implementations can be compared."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lrpe.models import (
    BidirectionalEncoder,
    ClassificationHead,
    DecoderConfig,
    DecoderLM,
    EncoderConfig,
    VisionConfig,
    VisionTransformer,
)

# The standard deviation of U(-1/sqrt(n), 1/sqrt(n)), nn.Linear's default with n inputs, is 1/sqrt(3 n).
DECODER = {
    "attention.query_projection.weight": 0.03125,  # Xavier, gain 1/sqrt(2): sqrt(1 / (512 + 512))
    "attention.key_projection.weight": 0.03125,
    "attention.value_projection.weight": 0.03125,
    "attention.output_projection.weight": 0.0442,  # Xavier, gain 1: sqrt(2 / (512 + 512))
    "attention.query_projection.bias": 0.0255,
    "attention.key_projection.bias": 0.0255,
    "attention.value_projection.bias": 0.0255,
    "attention.output_projection.bias": 0.0,
    "ffn_in.weight": 0.0255,
    "ffn_in.bias": 0.0255,
    "ffn_out.weight": 0.0128,
    "ffn_out.bias": 0.0128,
}


def spread(tensors: list[Tensor]) -> float:
    return float(torch.cat([tensor.detach().flatten() for tensor in tensors]).std(correction=0))


@pytest.mark.parametrize("attention", ["linear", "softmax"])
def test_the_decoder_starts_as_the_published_one(attention: str) -> None:
    torch.manual_seed(0)
    model = DecoderLM(DecoderConfig.base(1_000, attention=attention, normalizer="denominator"))
    found = {name: spread([layer.get_parameter(name) for layer in model.layers]) for name in DECODER}
    assert found == pytest.approx(DECODER, rel=0.03, abs=1e-9)
    assert spread([model.embedding.weight[2:]]) == pytest.approx(512**-0.5, rel=0.03)
    drawn_from = {
        name: float(model.layers[0].get_parameter(name).detach().abs().max())
        for name in ("ffn_in.bias", "ffn_out.bias")
    }
    assert drawn_from["ffn_in.bias"] == pytest.approx(512**-0.5, rel=0.02)
    assert drawn_from["ffn_out.bias"] == pytest.approx(2048**-0.5, rel=0.02)


def test_the_encoder_overwrites_all_of_it_by_bert_s() -> None:
    torch.manual_seed(0)
    model = BidirectionalEncoder(EncoderConfig.base(1_000, num_layers=1))
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert len(linears) == 6
    for linear in linears:
        assert spread([linear.weight]) == pytest.approx(0.02, rel=0.02)
        assert not linear.bias.any()


def test_the_classification_head_is_made_after_that() -> None:
    torch.manual_seed(0)
    head = ClassificationHead(768, 2)
    assert spread([head.dense.weight]) == pytest.approx(0.0208, rel=0.01)
    assert spread([head.dense.bias]) == pytest.approx(0.0208, rel=0.1)
    assert spread([head.output.weight]) == pytest.approx(0.0208, rel=0.1)
    assert 0 < float(head.output.bias.abs().max()) <= 768**-0.5


@pytest.mark.parametrize(
    ("initialization", "std", "biased"), [("torch", 0.0295, True), ("truncated_normal", 0.02, False)]
)
def test_image_models_start_as_asked(initialization: str, std: float, biased: bool) -> None:
    torch.manual_seed(0)
    model = VisionTransformer(VisionConfig.small(num_layers=2, initialization=initialization))
    attention = model.layers[1].attention
    for linear in (attention.query_projection, attention.output_projection, model.layers[1].ffn_in, model.head):
        assert spread([linear.weight]) == pytest.approx(std, rel=0.02)
        assert bool(linear.bias.any()) is biased
