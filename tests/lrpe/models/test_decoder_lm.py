"""The decoder: sizes as published, causal, the same token by token, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from lrpe.models import DecoderConfig, DecoderLM

SMALL: dict[str, Any] = {"num_layers": 2, "embed_dim": 32, "ffn_dim": 40, "num_heads": 4}
ENCODINGS: list[dict[str, Any]] = [
    {"name": "none"},
    {"name": "rope"},
    {"name": "spe", "kind": "sine"},
    {"name": "permuteformer"},
    {"name": "lrpe", "core": "unitary", "projection": "householder", "learn_angles": True},
    {"name": "lrpe", "core": "orthogonal", "decay": "fixed"},
    {"name": "lrpe", "core": "permutation"},
]


def _model(**changes: Any) -> DecoderLM:
    torch.manual_seed(0)
    return DecoderLM(DecoderConfig(50, **{**SMALL, **changes})).double().eval()


def _tokens(length: int = 21, batch: int = 2, vocabulary: int = 50) -> torch.Tensor:
    return torch.randint(4, vocabulary, (batch, length), generator=torch.Generator().manual_seed(1))


def _count(config: DecoderConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in DecoderLM(config).parameters())


# docs/recipes.md: 44.65 M with GPT-2's BPE, 156.0 M with words, without encoding and with a denominator.
@pytest.mark.parametrize(("vocabulary", "millions"), [(50_264, 44.65), (267_744, 156.0)])
def test_the_base_model_has_the_published_size(vocabulary: int, millions: float) -> None:
    assert _count(DecoderConfig.base(vocabulary, normalizer="denominator")) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize(
    ("encoding", "per_layer"),
    [
        ({"name": "lrpe", "core": "orthogonal", "learn_angles": True, "projection": "householder"}, 1024 + 32),
        ({"name": "lrpe", "core": "unitary", "learn_angles": True, "projection": "householder"}, 1024 + 64),
        ({"name": "lrpe", "core": "unitary", "projection": "householder"}, 1024),
        ({"name": "lrpe", "core": "permutation", "projection": "householder"}, 1024),
    ],
)
def test_lrpe_adds_a_norm_and_its_angles(encoding: dict[str, Any], per_layer: int) -> None:
    plain = _count(DecoderConfig.base(50_264, normalizer="denominator"))
    config = DecoderConfig.base(50_264, normalizer="layernorm", encoding=encoding)
    with torch.device("meta"):
        trained = sum(p.numel() for p in DecoderLM(config).parameters() if p.requires_grad)
    assert trained - plain == 6 * per_layer


def test_the_large_model_is_the_published_one() -> None:
    config = DecoderConfig.large(267_744)
    assert (config.num_layers, config.embed_dim, config.ffn_dim, config.num_heads) == (16, 1024, 4096, 1)
    with torch.device("meta"):
        model = DecoderLM(config)
    assert model.adaptive_softmax is not None
    assert [tuple(table.weight.shape) for table in model.adaptive_softmax.tables] == [
        (20_000, 1024),
        (40_000, 256),
        (207_744, 64),
    ]
    assert isinstance(model.final_norm, torch.nn.Identity)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("attention", ["linear", "softmax"])
def test_the_future_has_no_influence(encoding: dict[str, Any], attention: str) -> None:
    model, tokens = _model(encoding=encoding, attention=attention), _tokens()
    changed = tokens.clone()
    changed[:, 12:] = 7
    assert torch.allclose(model(tokens)[:, :12], model(changed)[:, :12], rtol=0, atol=1e-12)
    assert not torch.allclose(model(tokens)[:, 12:], model(changed)[:, 12:])


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("attention", ["linear", "softmax"])
@pytest.mark.parametrize("absolute", ["none", "sinusoidal", "learned"])
def test_token_by_token_is_all_at_once(encoding: dict[str, Any], attention: str, absolute: str) -> None:
    model, tokens = _model(encoding=encoding, attention=attention, absolute=absolute), _tokens()
    state, parts = None, []
    for part in tokens.split([5, 1, 1, 7, 3, 4], dim=1):
        logits, state = model.extend(part, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens), rtol=1e-7, atol=1e-9)
    assert state is not None
    assert state.position == 21


@pytest.mark.parametrize("attention", ["linear", "softmax"])
def test_greedy_generation_is_the_argmax_of_the_whole(attention: str) -> None:
    model, tokens = _model(encoding={"name": "rope"}, attention=attention), _tokens(5)
    for token in model.generate(tokens, 12, temperature=0):
        assert torch.equal(token, model(tokens)[:, -1].argmax(-1))
        tokens = torch.cat([tokens, token[:, None]], dim=1)
    assert tokens.shape == (2, 17)


def test_generation_draws_as_seeded_and_as_told() -> None:
    model, tokens = _model(), _tokens(5)

    def draw(**options: Any) -> list[int]:
        generator = torch.Generator().manual_seed(4)
        return [int(token[0]) for token in model.generate(tokens, 30, generator=generator, **options)]

    assert draw() == draw()
    assert draw(top_k=1) == draw(temperature=0)
    allowed = set(range(50)) - {3, 9}
    assert set(draw(temperature=5.0, forbidden=(3, 9))) <= allowed
    with pytest.raises(ValueError, match="at least one token"):
        next(model.generate(tokens[:, :0], 1))
    with pytest.raises(ValueError, match="temperature=-1"):
        next(model.generate(tokens, 1, temperature=-1))


def test_generation_state_is_constant_with_linear_attention_and_grows_with_softmax() -> None:
    def size(attention: str, length: int) -> int:
        _, state = _model(attention=attention).extend(_tokens(length))
        return sum(value.numel() for layer in state.layers for value in vars(layer).values() if torch.is_tensor(value))

    assert size("linear", 4) == size("linear", 60)
    assert size("softmax", 60) == 15 * size("softmax", 4)


def test_beams_can_be_reordered() -> None:
    model, tokens = _model(encoding={"name": "rope"}), _tokens(9, batch=3)
    _, state = model.extend(tokens[:, :8])
    order = torch.tensor([2, 0, 0])
    logits, _ = model.extend(tokens[order, 8:], state.reorder(order))
    torch.testing.assert_close(logits[:, 0], model(tokens[order])[:, -1], rtol=1e-8, atol=1e-10)


def test_adaptive_softmax_is_a_distribution_and_its_loss_path_agrees() -> None:
    model = _model(num_heads=1, adaptive_cutoffs=(10, 25), encoding={"name": "rope"})
    tokens, target = _tokens(), _tokens().flip(1).reshape(-1)
    log_probability = model(tokens)
    torch.testing.assert_close(log_probability.exp().sum(-1), torch.ones(2, 21, dtype=torch.float64))
    logits, targets = model.adaptive_softmax(model.features(tokens), target)
    loss = sum(F.cross_entropy(x, y, reduction="sum") for x, y in zip(logits, targets, strict=True) if y is not None)
    expected = F.nll_loss(log_probability.reshape(-1, 50), target, reduction="sum")
    torch.testing.assert_close(loss, expected)


def test_adaptive_softmax_when_a_band_has_no_target() -> None:
    model = _model(num_heads=1, adaptive_cutoffs=(10, 25))
    logits, targets = model.adaptive_softmax(model.features(_tokens(3, 1)), torch.tensor([4, 5, 30]))
    assert logits[1] is None
    assert targets[1] is None
    assert targets[2].tolist() == [5]
    assert targets[0].tolist() == [4, 5, 11]


def test_padding_is_embedded_as_zero_and_the_output_is_tied() -> None:
    model = _model()
    assert not model.embedding.weight[1].any()
    assert torch.equal(model(_tokens()), model.features(_tokens()) @ model.embedding.weight.T)
    untied = _model(share_input_output=False)
    assert untied.output_weight is not None
    assert not torch.equal(untied.output_weight, untied.embedding.weight)


def test_every_parameter_gets_a_gradient() -> None:
    model = _model(encoding=ENCODINGS[4], absolute="learned").train()
    F.cross_entropy(model(_tokens()).flatten(0, 1), _tokens().flatten()).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention": "quadratic"}, "linear, softmax"),
        ({"adaptive_cutoffs": (30, 20)}, "cutoffs"),
        ({"adaptive_cutoffs": (60,)}, "vocabulary of 50"),
        ({"adaptive_cutoffs": (10,), "share_input_output": False}, "tied"),
        ({"encoding": {"name": "lrpe", "core": "orthogonal", "projection": "dft"}}, "unitary"),
    ],
)
def test_what_cannot_be_built_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _model(**changes)
