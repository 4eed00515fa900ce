"""The decoder language model of the paper's autoregressive experiments."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrpe.encodings import build_absolute
from lrpe.encodings.parts.precision import drawn_in_float32
from lrpe.models.adaptive import AdaptiveInput, AdaptiveSoftmax
from lrpe.models.attention import AttentionConfig, build_attention
from lrpe.models.block import TransformerBlock
from lrpe.models.fields import bounded
from lrpe.models.mode import evaluating
from lrpe.models.pretrained import Pretrained
from lrpe.ops.linear_cross_entropy import linear_cross_entropy
from lrpe.weight_decay import DecaySparing


@dataclass(frozen=True)
class DecoderConfig(AttentionConfig):
    """Everything that defines a decoder. The defaults are the paper's base model (fairseq's ``base_lm_architecture``).

    ``attention_dropout`` is kept for the record: the published layer never applies it. ``first_position`` is what
    sinusoidal positions count from: 0, or padding index + 1 = 2 as fairseq.
    """

    vocab_size: int
    padding_index: int | None = 1
    num_layers: int = bounded(6, minimum=1, maximum=1000)
    embed_dim: int = bounded(512, minimum=1)
    ffn_dim: int = bounded(2048, minimum=1)
    num_heads: int = bounded(8, minimum=1)
    dropout: float = bounded(0.1, minimum=0, below=1)
    attention_dropout: float = bounded(0.0, minimum=0, below=1)
    activation_dropout: float = bounded(0.0, minimum=0, below=1)
    normalize_before: bool = True
    final_norm: bool = True
    scale_embedding: bool = True
    share_input_output: bool = True
    absolute: str = "none"
    max_positions: int = bounded(512, minimum=1)
    first_position: int = bounded(0, minimum=0)
    adaptive_cutoffs: tuple[int, ...] = ()
    adaptive_dropout: float = bounded(0.2, minimum=0, below=1)

    @classmethod
    def base(cls, vocab_size: int, **changes: Any) -> DecoderConfig:
        """6 layers, 512 wide, 8 heads: 44.65 M parameters at 50,264 words, 156.0 M at 267,744 (without encoding)."""
        return cls(vocab_size, **changes)

    @classmethod
    def large(cls, vocab_size: int, **changes: Any) -> DecoderConfig:
        """16 layers, 1,024 wide, one head (as the published code forces), adaptive input and softmax."""
        large: dict[str, Any] = {
            "num_layers": 16,
            "embed_dim": 1024,
            "ffn_dim": 4096,
            "num_heads": 1,
            "dropout": 0.3,
            "attention_dropout": 0.1,
            "activation_dropout": 0.1,
            "final_norm": False,
            "adaptive_cutoffs": (20_000, 60_000),
            "adaptive_dropout": 0.2,
        }
        return cls(vocab_size, **{**large, **changes})


@dataclass(frozen=True)
class DecoderState:
    """The states of all layers after ``position`` tokens; constant in size with linear attention."""

    layers: tuple[Any, ...]
    position: int

    def reorder(self, batch_index: Tensor) -> DecoderState:
        """The states of ``batch_index``, e.g. of the surviving hypotheses of a beam search."""
        return DecoderState(tuple(layer.reorder(batch_index) for layer in self.layers), self.position)


class DecoderLM(DecaySparing, Pretrained):
    """p(x_(t+1) | x_1..t): embeddings, blocks with causal attention, and the tied output.

    Raises:
        ValueError: a config that cannot be built.
    """

    config_kind = DecoderConfig

    @drawn_in_float32
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.adaptive_softmax: AdaptiveSoftmax | None = None
        self.output_weight: nn.Parameter | None = None
        if config.adaptive_cutoffs:
            if not config.share_input_output:
                raise ValueError("adaptive_cutoffs: the adaptive softmax is tied to the adaptive input")
            cutoffs = tuple(config.adaptive_cutoffs)
            self.embedding: nn.Module = AdaptiveInput(
                config.vocab_size, config.padding_index, config.embed_dim, cutoffs
            )
            self.adaptive_softmax = AdaptiveSoftmax(self.embedding, config.adaptive_dropout)
        else:
            self.embedding = _embedding(config)
            if not config.share_input_output:
                self.output_weight = nn.Parameter(_embedding(config).weight.detach().clone())
        self.absolute = build_absolute(config.absolute, config.embed_dim, config.max_positions, config.first_position)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(
            TransformerBlock(
                build_attention(config, index, causal=True),
                config.ffn_dim,
                dropout=config.dropout,
                activation_dropout=config.activation_dropout,
                normalize_before=config.normalize_before,
            )
            for index in range(config.num_layers)
        )
        self.final_norm = nn.LayerNorm(config.embed_dim) if config.final_norm else nn.Identity()

    def forward(self, tokens: Tensor) -> Tensor:
        """Int ``(batch, length)`` -> logits ``(batch, length, vocabulary)``, log-probabilities if adaptive."""
        return self.logits(self.features(tokens))

    def features(self, tokens: Tensor) -> Tensor:
        """Int ``(batch, length)`` -> ``(batch, length, embed_dim)``, what the output layer takes."""
        x = self._embed(tokens, offset=0)
        for layer in self.layers:
            x = layer(x)
        return self.final_norm(x)

    def logits(self, features: Tensor) -> Tensor:
        """The output layer."""
        if self.adaptive_softmax is not None:
            return self.adaptive_softmax.get_log_prob(features)
        return F.linear(features, self._output)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """sum of -log p(target) over the targets that are not padding, in nats, without the logits of all tokens:
        ``(batch, length, embed_dim)``, Int64 ``(batch, length)`` -> Float32 ``()`` (Float64 of float64 features).

        Raises:
            ValueError: the output is an adaptive softmax, whose loss is another.
        """
        if self.adaptive_softmax is not None:
            raise ValueError("adaptive_cutoffs: the adaptive softmax has a loss of its own")
        padding = self.config.padding_index
        ignored: dict[str, Any] = {} if padding is None else {"ignore_index": padding}
        return linear_cross_entropy(features, self._output, targets, **ignored)

    @property
    def _output(self) -> Tensor:
        return cast(nn.Embedding, self.embedding).weight if self.output_weight is None else self.output_weight

    def extend(self, tokens: Tensor, state: DecoderState | None = None) -> tuple[Tensor, DecoderState]:
        """:meth:`forward` for the tokens that follow those in ``state``: Int ``(batch, new)`` -> logits of the new."""
        features, state = self.extend_features(tokens, state)
        return self.logits(features), state

    def extend_features(self, tokens: Tensor, state: DecoderState | None = None) -> tuple[Tensor, DecoderState]:
        """:meth:`features` for the tokens that follow those in ``state``."""
        position = state.position if state else 0
        x = self._embed(tokens, offset=position)
        states = []
        for index, layer in enumerate(self.layers):
            x, after = cast(TransformerBlock, layer).extend(x, state.layers[index] if state else None)
            states.append(after)
        return self.final_norm(x), DecoderState(tuple(states), position + tokens.shape[1])

    @torch.no_grad()
    def generate(
        self,
        prompt: Tensor,
        max_new_tokens: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        forbidden: tuple[int, ...] = (),
        generator: torch.Generator | None = None,
    ) -> Iterator[Tensor]:
        """Continue ``prompt`` token by token: with linear attention in O(1) time and memory a token.

        Args:
            prompt: Int ``(batch, length)``, at least one token.
            max_new_tokens: tokens to draw.
            temperature: 0 takes the most likely token.
            top_k: draw among the k most likely only.
            forbidden: tokens that are never drawn.
            generator: of the draws.

        Yields:
            Int ``(batch,)``, the next token of each row.

        The model is in evaluation mode while it computes, and in the caller's mode whenever this yields or ends.

        Raises:
            ValueError: an empty prompt, a negative temperature, or a non-positive top_k.
        """
        if prompt.dim() != 2 or prompt.shape[1] == 0:
            raise ValueError(f"prompt: expected (batch, length) with at least one token, got {tuple(prompt.shape)}")
        if temperature < 0 or (top_k is not None and top_k < 1):
            raise ValueError(f"temperature={temperature}, top_k={top_k}: expected at least 0 and at least 1")
        with evaluating(self):
            logits, state = self.extend(prompt)
        for remaining in range(max_new_tokens, 0, -1):
            token = _draw(logits[:, -1].float(), temperature, top_k, forbidden, generator)
            yield token
            if remaining > 1:
                with evaluating(self):
                    logits, state = self.extend(token[:, None], state)

    def _embed(self, tokens: Tensor, offset: int) -> Tensor:
        x = self.embedding(tokens)
        if self.config.scale_embedding:
            x = x * math.sqrt(self.config.embed_dim)
        if self.absolute is not None:
            x = x + self.absolute(x, offset=offset).to(x.dtype)
        return self.dropout(x)


def _embedding(config: DecoderConfig) -> nn.Embedding:
    table = nn.Embedding(config.vocab_size, config.embed_dim, padding_idx=config.padding_index)
    nn.init.normal_(table.weight, std=config.embed_dim**-0.5)
    if config.padding_index is not None:
        nn.init.zeros_(table.weight[config.padding_index])
    return table


def _draw(
    logits: Tensor,
    temperature: float,
    top_k: int | None,
    forbidden: tuple[int, ...],
    generator: torch.Generator | None,
) -> Tensor:
    if forbidden:
        logits[:, list(forbidden)] = float("-inf")
    if temperature == 0:
        return logits.argmax(-1)
    if top_k is not None:
        smallest = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < smallest, float("-inf"))
    return torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=generator).squeeze(1)
