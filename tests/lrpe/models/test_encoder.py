"""The encoder: its published size, padding that changes nothing, order that only encodings see, and its heads."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lrpe.models import BidirectionalEncoder, ClassificationHead, DecoderConfig, DecoderLM, EncoderConfig, MaskedLMHead

PAD = 1
SMALL: dict[str, Any] = {"num_layers": 2, "embed_dim": 32, "ffn_dim": 40, "num_heads": 4, "absolute": "none"}
ENCODINGS: list[dict[str, Any]] = [
    {"name": "rope"},
    {"name": "spe", "kind": "sine", "seed": 1},
    {"name": "permuteformer"},
    {"name": "lrpe", "core": "unitary", "projection": "householder", "learn_angles": True},
    {"name": "lrpe", "core": "unitary", "projection": "dft"},
    {"name": "lrpe", "core": "orthogonal", "decay": "fixed"},
    {"name": "lrpe", "core": "orthogonal_mixed", "projection": "odd_even"},
    {"name": "lrpe", "core": "permutation"},
]


def _model(**changes: Any) -> BidirectionalEncoder:
    torch.manual_seed(0)
    return BidirectionalEncoder(EncoderConfig(50, **{**SMALL, **changes})).double().eval()


def _tokens(length: int = 13, batch: int = 2) -> torch.Tensor:
    return torch.randint(4, 50, (batch, length), generator=torch.Generator().manual_seed(1))


def _padded(tokens: torch.Tensor, extra: int) -> torch.Tensor:
    return torch.cat([tokens, torch.full((len(tokens), extra), PAD)], dim=1)


def test_the_base_model_with_its_head_has_the_published_size() -> None:
    with torch.device("meta"):
        encoder = BidirectionalEncoder(EncoderConfig.base(50_265, normalizer="denominator"))
        head = MaskedLMHead(encoder.embedding)
    parameters = {id(p): p.numel() for p in [*encoder.parameters(), *head.parameters()]}
    assert sum(parameters.values()) / 1e6 == pytest.approx(124.70, abs=0.01)  # docs/recipes.md


@pytest.mark.parametrize("encoding", [{"name": "none"}, *ENCODINGS])
@pytest.mark.parametrize(
    ("attention", "normalizer", "absolute"),
    [("linear", "layernorm", "none"), ("linear", "denominator", "learned"), ("softmax", "layernorm", "sinusoidal")],
)
def test_padding_changes_nothing(encoding: dict[str, Any], attention: str, normalizer: str, absolute: str) -> None:
    model = _model(encoding=encoding, attention=attention, normalizer=normalizer, absolute=absolute)
    tokens = _tokens()
    alone = model(tokens)
    torch.testing.assert_close(model(_padded(tokens, 5))[:, :13], alone, rtol=1e-8, atol=1e-8)


def test_padding_matters_where_the_published_layer_ignores_its_mask() -> None:
    model, tokens = _model(mask_padding=False, encoding={"name": "rope"}), _tokens()
    assert not torch.allclose(model(_padded(tokens, 5))[:, :13], model(tokens), atol=1e-3)


def test_padding_gives_and_takes_no_gradient() -> None:
    model = _model(encoding=ENCODINGS[3]).train()
    model(_padded(_tokens(), 3))[:, :13].square().sum().backward()
    assert bool((model.embedding.weight.grad[PAD] == 0).all())


@pytest.mark.parametrize("attention", ["linear", "softmax"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_order_of_words_is_seen_through_the_encoding(encoding: dict[str, Any], attention: str) -> None:
    model, tokens = _model(encoding=encoding, attention=attention), _tokens()
    swapped = tokens.clone()
    swapped[:, [3, 8]] = swapped[:, [8, 3]]
    assert not torch.allclose(model(swapped)[:, 0], model(tokens)[:, 0], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("attention", ["linear", "softmax"])
def test_without_positions_a_text_is_a_bag_of_words(attention: str) -> None:
    model, tokens = _model(encoding={"name": "none"}, attention=attention), _tokens()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2)) + 1
    shuffled = tokens[:, torch.cat([torch.tensor([0]), order])]
    torch.testing.assert_close(model(shuffled)[:, 0], model(tokens)[:, 0], rtol=1e-9, atol=1e-9)


def test_every_token_sees_both_sides() -> None:
    model, tokens = _model(encoding={"name": "rope"}), _tokens()
    for changed in (0, 12):
        other = tokens.clone()
        other[:, changed] = (other[:, changed] + 1) % 40 + 4
        assert not torch.allclose(model(other)[:, 6], model(tokens)[:, 6])


def test_the_tables_and_matrices_start_as_bert_s() -> None:
    torch.manual_seed(0)
    model = BidirectionalEncoder(EncoderConfig.base(2_000, num_layers=1))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert bool((parameter == 0).all()), name
        elif "norm" not in name and ".encoding." not in name:
            assert float(parameter.detach().std()) == pytest.approx(0.02, rel=0.05), name
    assert bool((model.embedding.weight[PAD] == 0).all())


def test_learned_positions_end_with_a_message() -> None:
    with pytest.raises(ValueError, match="max_positions"):
        _model(absolute="learned", max_positions=8)(_tokens(9))


def test_the_masked_lm_head_is_tied_and_differentiable() -> None:
    model = _model(encoding={"name": "rope"})
    head = MaskedLMHead(model.embedding).double()
    assert head.weight is model.embedding.weight
    logits = head(model(_tokens())[:, 4])
    assert logits.shape == (2, 50)
    logits.logsumexp(-1).sum().backward()
    missing = [name for name, p in [*model.named_parameters(), *head.named_parameters()] if p.grad is None]
    assert missing == []


def test_the_classification_head_reads_the_first_token() -> None:
    torch.manual_seed(0)
    head = ClassificationHead(32, 3).double()
    features = torch.randn(2, 13, 32, dtype=torch.float64)
    expected = head.output(torch.tanh(head.dense(features[:, 0])))
    assert torch.equal(head(features), expected)
    with pytest.raises(ValueError, match="num_outputs=0"):
        ClassificationHead(32, 0)


def test_decoder_and_encoder_share_their_blocks() -> None:
    decoder = DecoderLM(DecoderConfig(50, **{**SMALL, "num_layers": 1}))
    encoder = _model(num_layers=1)
    shapes = [{name: p.shape for name, p in model.layers.named_parameters()} for model in (decoder, encoder)]
    assert shapes[0] == shapes[1]
