"""The two protocols side by side: every parameter of every family's model, its shape, and how it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch

from experiments.engine.families import family_of
from tests.experiments.config.conftest import Composed

PROTOCOLS = ("published", "controlled")
# Name, shape, and (mean, standard deviation) under published and under controlled; None: there is no such parameter.
Row = tuple[str, tuple[int, ...], tuple[float, float] | None, tuple[float, float] | None]
ONES, ZEROS = (1.0, 0.0), (0.0, 0.0)
ANGLES = (0.1249, 0.2362)  # 10000^(-2j/64), j = 0..31


def same(name: str, shape: tuple[int, ...], start: tuple[float, float]) -> Row:
    return name, shape, start, start


def norm(name: str, width: int) -> list[Row]:
    return [same(f"{name}.weight", (width,), ONES), same(f"{name}.bias", (width,), ZEROS)]


def linear(name: str, outputs: int, inputs: int, weight: float, bias: float) -> list[Row]:
    return [same(f"{name}.weight", (outputs, inputs), (0, weight)), same(f"{name}.bias", (outputs,), (0, bias))]


def image_linear(name: str, outputs: int, inputs: int, std: float) -> list[Row]:
    """torch's own start against a truncated normal's."""
    weight, bias = (f"{name}.weight", (outputs, inputs)), (f"{name}.bias", (outputs,))
    return [(*weight, (0, std), (0, 0.02)), (*bias, (0, std), ZEROS)]


def text_layer(width: int, projections: Mapping[str, tuple[float, float]], ffn: tuple[float, ...]) -> list[Row]:
    layer = "layers.0.attention"
    rows = [same(f"{layer}.encoding.core.angles.values", (1, 1, 32), ANGLES), *norm(f"{layer}.norm", width)]
    for name, start in projections.items():
        rows += linear(f"{layer}.{name}_projection", width, width, *start)
    rows += linear("layers.0.ffn_in", 4 * width, width, *ffn[:2]) + linear(
        "layers.0.ffn_out", width, 4 * width, *ffn[2:]
    )
    return rows + norm("layers.0.attention_norm", width) + norm("layers.0.ffn_norm", width)


ATTENTION = ("query", "key", "value", "output")
DECODER = [
    same("embedding.weight", (WORDS := 64, 512), (0, 0.0437)),  # 512^(-1/2), the padding's row 0
    *text_layer(
        512,
        {**dict.fromkeys(ATTENTION[:3], (0.03125, 0.0255)), "output": (0.0442, 0.0)},
        (0.0255, 0.0255, 0.0128, 0.0128),
    ),
    *norm("final_norm", 512),
]
ENCODER = [
    same("embedding.weight", (WORDS + 1, 768), (0, 0.0198)),
    ("absolute.weight", (512, 768), (0, 0.02), None),
    *norm("embedding_norm", 768),
    *text_layer(768, dict.fromkeys(ATTENTION, (0.02, 0.0)), (0.02, 0.0, 0.02, 0.0)),
]
HEAD = "classification_heads.sentence_classification_head"
IMAGES = [
    *linear("patches.projection", 384, 768, 0.0208, 0.0208),
    ("absolute.weight", (14, 14, 384), (0, 1.0), None),
    ("layers.0.attention.encoding.core.angles.values", (1, 1, 32), ANGLES, None),
    ("layers.0.attention.encoding.core.angles.values", (2, 1, 32), None, ANGLES),
    *[(f"layers.0.attention.{n}_projection.weight", (384, 384), (0, 0.0295), (0, 0.02)) for n in ATTENTION[:3]],
    *[(f"layers.0.attention.{n}_projection.bias", (384,), None, ZEROS) for n in ATTENTION[:3]],
    *image_linear("layers.0.attention.output_projection", 384, 384, 0.0295),
    *image_linear("layers.0.ffn_in", 1536, 384, 0.0295),
    *image_linear("layers.0.ffn_out", 384, 1536, 0.0147),
    *[row for name in ("attention.norm", "attention_norm", "ffn_norm") for row in norm(f"layers.0.{name}", 384)],
    *norm("final_norm", 384),
    *image_linear("head", 3, 384, 0.0295),
]
PARAMETERS: dict[str, list[Row]] = {
    "alm": DECODER,
    "blm": [
        *[(f"encoder.{name}", *rest) for name, *rest in ENCODER],
        *linear("masked_lm_head.dense", 768, 768, 0.02, 0.0),
        *norm("masked_lm_head.norm", 768),
        same("masked_lm_head.bias", (WORDS + 1,), ZEROS),
    ],
    "glue": [
        *[(f"encoder.{name}", *rest) for name, *rest in ENCODER],
        *linear(f"{HEAD}.dense", 768, 768, 0.0208, 0.0208),
        *linear(f"{HEAD}.output", 2, 768, 0.0208, 0.0208),
    ],
    "imagenet": IMAGES,
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("family", PARAMETERS)
def test_the_initial_weights(composed: Composed, family: str, protocol: str) -> None:
    """Means and standard deviations within five standard errors of the table's (and its rounding)."""
    torch.manual_seed(0)
    config = composed(family, protocol)
    model = family_of(config).build(config)
    expected = {
        (name, shape): starts[PROTOCOLS.index(protocol)]
        for name, shape, *starts in PARAMETERS[family]
        if starts[PROTOCOLS.index(protocol)] is not None
    }
    found = {(name, tuple(parameter.shape)): parameter.detach() for name, parameter in model.named_parameters()}
    assert sorted(found) == sorted(expected)
    for key, values in found.items():
        mean, std = expected[key]
        count = values.numel()
        assert float(values.mean()) == pytest.approx(mean, abs=5 * std / math.sqrt(count) + 1e-4), key
        assert float(values.std(correction=0)) == pytest.approx(std, rel=5 / math.sqrt(2 * count) + 0.005), key
