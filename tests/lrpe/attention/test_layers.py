"""Attention layers: the two backbones, token by token and at once, masks, compilation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from lrpe.attention import LinearAttention, SoftmaxAttention, build_feature_map
from lrpe.encodings import build_encoding

ENCODINGS: dict[str, dict[str, Any]] = {
    "none": {"name": "none"},
    "rope": {"name": "rope"},
    "spe": {"name": "spe", "seed": 1},
    "permuteformer": {"name": "permuteformer", "seed": 1},
    "unitary": {"name": "lrpe", "core": "unitary", "projection": "householder", "learn_angles": True, "seed": 1},
    "orthogonal": {"name": "lrpe", "core": "orthogonal", "projection": "dct"},
    "permutation": {"name": "lrpe", "core": "permutation", "projection": "odd_even", "seed": 1},
    "decay": {"name": "lrpe", "core": "orthogonal", "decay": "fixed"},
}
MAPS = {
    "1+elu": {},
    "relu": {},
    "elu": {},
    "exp": {},
    "silu": {},
    "identity": {},
    "cosformer": {"max_length": 64},
    "favor": {"seed": 1},
}


def _x(length: int = 13) -> Tensor:
    return torch.randn(2, length, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def _linear(encoding: str = "none", **options: Any) -> LinearAttention:
    torch.manual_seed(0)
    return LinearAttention(32, 4, encoding=ENCODINGS[encoding], **options).double().eval()


def _softmax(encoding: str, **options: Any) -> SoftmaxAttention:
    torch.manual_seed(0)
    return SoftmaxAttention(32, 4, encoding=ENCODINGS[encoding], **options).double().eval()


def _in_parts(layer: Any, x: Tensor, sizes: list[int]) -> Tensor:
    state, outputs = None, []
    for part in x.split(sizes, dim=1):
        out, state = layer.extend(part, state)
        outputs.append(out)
    return torch.cat(outputs, dim=1)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("normalizer", ["denominator", "layernorm", "rmsnorm"])
@pytest.mark.parametrize("feature_map", MAPS)
def test_token_by_token_is_all_at_once(encoding: str, normalizer: str, feature_map: str) -> None:
    layer = _linear(encoding, normalizer=normalizer, feature_map=feature_map, feature_map_options=MAPS[feature_map])
    whole = layer(_x())
    # A clamped denominator of signed features can be as small as its clamp: relative to the size of what it makes.
    tolerance = 1e-9 * max(1.0, whole.abs().max().item())
    torch.testing.assert_close(_in_parts(layer, _x(), [1] * 13), whole, rtol=1e-8, atol=tolerance)
    torch.testing.assert_close(_in_parts(layer, _x(), [5, 1, 4, 3]), whole, rtol=1e-8, atol=tolerance)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_softmax_token_by_token_is_all_at_once(encoding: str) -> None:
    layer = _softmax(encoding)
    torch.testing.assert_close(_in_parts(layer, _x(), [1] * 13), layer(_x()), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(_in_parts(layer, _x(), [5, 1, 4, 3]), layer(_x()), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("encoding", ["none", "unitary", "decay"])
@pytest.mark.parametrize("causal", [True, False])
def test_softmax_is_its_formula(encoding: str, causal: bool) -> None:
    layer, x = _softmax(encoding, causal=causal), _x(9)
    query, key, value = layer.project(x)
    query, key = layer.encoding(query, key)
    scores = query @ key.mT / 8**0.5
    position = torch.arange(9)
    distance = position[:, None] - position
    if layer.encoding.log_decay is not None:
        scores = scores + layer.encoding.log_decay[:, None, None] * distance.abs()
    if causal:
        scores = scores.masked_fill(distance < 0, float("-inf"))
    expected = layer.output_projection(layer.join(torch.softmax(scores, -1) @ value))
    torch.testing.assert_close(layer(x), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("build", [_linear, _softmax])
@pytest.mark.parametrize("encoding", ["none", "rope", "unitary"])
@pytest.mark.parametrize("causal", [True, False])
def test_padding_changes_nothing(build: Any, encoding: str, causal: bool) -> None:
    layer, x = build(encoding, causal=causal), _x(10)
    mask = torch.zeros(2, 10, dtype=torch.bool)
    mask[:, 7:] = True
    other = x.clone()
    other[:, 7:] = 99.0
    expected = layer(x[:, :7])
    torch.testing.assert_close(layer(other, key_padding_mask=mask)[:, :7], expected, rtol=1e-8, atol=1e-8)


def test_the_published_layer_ignores_padding() -> None:
    layer, x = _linear("rope", causal=False, mask_padding=False), _x(10)
    mask = torch.zeros(2, 10, dtype=torch.bool)
    mask[:, 7:] = True
    assert torch.equal(layer(x, key_padding_mask=mask), layer(x))


def test_the_linear_layer_is_its_formula() -> None:
    layer, x = _linear("orthogonal", normalizer="layernorm"), _x(9)
    query, key, value = layer.project(x)
    query, key = layer.encoding(torch.nn.functional.elu(query) + 1, torch.nn.functional.elu(key) + 1)
    summed = layer.join((query @ key.mT).tril() @ value)
    expected = layer.output_projection(
        torch.nn.functional.layer_norm(summed, (32,), layer.norm.weight, layer.norm.bias)
    )
    torch.testing.assert_close(layer(x), expected, rtol=1e-9, atol=1e-9)


def test_a_denominator_of_plain_features_keeps_weights_of_one_together() -> None:
    """With values all one a denominator of the encoded features gives one; with plain features it need not."""
    layer = _linear("rope", denominator_from="plain")
    torch.nn.init.zeros_(layer.value_projection.weight)
    torch.nn.init.ones_(layer.value_projection.bias)
    encoded = _linear("rope", denominator_from="encoded")
    encoded.load_state_dict(layer.state_dict())
    with torch.no_grad():
        for one in (layer, encoded):
            one.output_projection.weight.copy_(torch.eye(32))
        torch.testing.assert_close(encoded(_x()), torch.ones(2, 13, 32, dtype=torch.float64))
        assert (layer(_x()) - 1).abs().max() > 0.05


def test_the_state_does_not_grow() -> None:
    layer = _linear("unitary", normalizer="layernorm")
    _, short = layer.extend(_x(2))
    _, long = layer.extend(_x(500))
    assert short.key_value.shape == long.key_value.shape


def test_initialization_is_the_published_one() -> None:
    torch.manual_seed(0)
    layer = LinearAttention(256, 4)
    bound = (6 / 512) ** 0.5
    assert layer.query_projection.weight.abs().max() <= bound * 2**-0.5
    assert layer.query_projection.weight.abs().max() > bound * 2**-0.5 * 0.98
    assert bound * 0.98 < layer.output_projection.weight.abs().max() <= bound
    for projection in (layer.query_projection, layer.key_projection, layer.value_projection):
        assert 256**-0.5 * 0.95 < projection.bias.abs().max() <= 256**-0.5
    assert not layer.output_projection.bias.any()


@pytest.mark.parametrize("encoding", ["none", "rope", "unitary", "permutation", "decay"])
def test_compiles_without_graph_breaks(encoding: str) -> None:
    torch.manual_seed(0)
    layer = LinearAttention(32, 4, encoding=ENCODINGS[encoding], normalizer="layernorm")
    x = _x(70).float().requires_grad_()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    expected, found = layer(x), compiled(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    (left,), (right,) = torch.autograd.grad(expected.sin().sum(), x), torch.autograd.grad(found.sin().sum(), x)
    torch.testing.assert_close(right, left, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LinearAttention(30, 4), "embed_dim=30"),
        (lambda: LinearAttention(32, 4, normalizer="batchnorm"), "layernorm"),
        (lambda: LinearAttention(32, 4, denominator_from="keys"), "encoded, plain"),
        (lambda: LinearAttention(32, 4, encoding=build_encoding("rope", head_dim=4, num_heads=4)), "head_dim=4"),
        (lambda: LinearAttention(12, 4, encoding={"name": "rope"}), "even"),
        (lambda: LinearAttention(32, 4, encoding={"name": "rop"}), "rope"),
        (lambda: SoftmaxAttention(32, 5), "num_heads=5"),
    ],
)
def test_what_cannot_be_built_is_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_bad_calls_are_refused() -> None:
    layer = _linear("none")
    with pytest.raises(ValueError, match="embed_dim=32"):
        layer(_x()[..., :16])
    with pytest.raises(ValueError, match="key_padding_mask"):
        layer(_x(), key_padding_mask=torch.zeros(2, 13))
    with pytest.raises(ValueError, match="causal"):
        _linear("none", causal=False).extend(_x())
    with pytest.raises(ValueError, match="causal"):
        _softmax("none", causal=False).extend(_x())


def test_doubled_features_are_encoded_at_their_width() -> None:
    layer = _linear("rope", feature_map="cosformer", feature_map_options={"max_length": 64})
    assert layer.encoding.head_dim == build_feature_map("cosformer", 8, max_length=64).output_dim == 16
