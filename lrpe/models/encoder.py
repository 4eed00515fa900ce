"""The bidirectional encoder of the paper's masked language models, and the heads that are put on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrpe.encodings import build_absolute
from lrpe.encodings.absolute import LearnedPositions
from lrpe.encodings.parts.precision import drawn_in_float32
from lrpe.models.attention import AttentionConfig, build_attention
from lrpe.models.block import TransformerBlock
from lrpe.models.fields import bounded
from lrpe.models.pretrained import Pretrained
from lrpe.ops.linear_cross_entropy import linear_cross_entropy
from lrpe.weight_decay import DecaySparing

INITIAL_STD = 0.02


@dataclass(frozen=True)
class EncoderConfig(AttentionConfig):
    """Everything that defines an encoder. The defaults are the paper's (RoBERTa base, with linear attention).

    ``attention_dropout`` is kept for the record: the published layer never applies it. ``first_position`` is what
    sinusoidal positions count from: 0, or padding index + 1 = 2 as fairseq.
    """

    vocab_size: int
    padding_index: int = 1
    num_layers: int = bounded(12, minimum=1, maximum=1000)
    embed_dim: int = bounded(768, minimum=1)
    ffn_dim: int = bounded(3072, minimum=1)
    num_heads: int = bounded(12, minimum=1)
    dropout: float = bounded(0.1, minimum=0, below=1)
    attention_dropout: float = bounded(0.1, minimum=0, below=1)
    activation_dropout: float = bounded(0.0, minimum=0, below=1)
    normalize_before: bool = False
    absolute: str = "learned"
    max_positions: int = bounded(512, minimum=1)
    first_position: int = bounded(0, minimum=0)

    @classmethod
    def base(cls, vocab_size: int, **changes: Any) -> EncoderConfig:
        """12 layers, 768 wide, 12 heads; with its masked-LM head 124.70 M parameters at 50,265 words."""
        return cls(vocab_size, **changes)


class BidirectionalEncoder(DecaySparing, Pretrained):
    """x = norm(E[tokens] + absolute), zero at padding, then blocks in which every token attends to every other.

    Tokens stand at positions 0, 1, ... of their row, so padding goes to the right. Initialized as BERT's: N(0, 0.02)
    for every matrix and table, biases 0 (Liu et al. 2019; fairseq's ``init_bert_params``).

    Raises:
        ValueError: a config that cannot be built.
    """

    config_kind = EncoderConfig
    part_of: ClassVar = {"MaskedLM": "encoder.", "TextClassifier": "encoder."}

    @drawn_in_float32
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.embed_dim, padding_idx=config.padding_index)
        self.absolute = build_absolute(config.absolute, config.embed_dim, config.max_positions, config.first_position)
        self.embedding_norm = nn.LayerNorm(config.embed_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(
            TransformerBlock(
                build_attention(config, index, causal=False),
                config.ffn_dim,
                dropout=config.dropout,
                activation_dropout=config.activation_dropout,
                normalize_before=config.normalize_before,
                activation="gelu",
            )
            for index in range(config.num_layers)
        )
        self.final_norm = nn.LayerNorm(config.embed_dim) if config.normalize_before else nn.Identity()
        self.apply(initialize)

    def forward(self, tokens: Tensor) -> Tensor:
        """Int ``(batch, length)``, padded on the right with ``padding_index`` -> ``(batch, length, embed_dim)``."""
        padding = tokens == self.config.padding_index
        x = self.embedding(tokens)
        if self.absolute is not None:
            x = x + self.absolute(x).to(x.dtype)
        x = self.dropout(self.embedding_norm(x)).masked_fill(padding[..., None], 0)
        for layer in self.layers:
            x = layer(x, key_padding_mask=padding)
        return self.final_norm(x)


class MaskedLMHead(DecaySparing):
    """logits = E norm(gelu(W x + b)) + c with the encoder's embedding table E (Devlin et al. 2019).

    Args:
        embedding: the encoder's, which is shared.
    """

    @drawn_in_float32
    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        width = embedding.embedding_dim
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.weight = embedding.weight
        self.bias = nn.Parameter(torch.zeros(embedding.num_embeddings))
        self.apply(initialize)

    def forward(self, features: Tensor) -> Tensor:
        """``(..., embed_dim)`` -> ``(..., vocabulary)``."""
        return F.linear(self._hidden(features), self.weight, self.bias)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """sum of -log softmax(logits)[target] in nats, without the logits of all tokens: ``(masked, embed_dim)``,
        Int64 ``(masked,)`` -> Float32 ``()`` (Float64 of float64 features)."""
        return linear_cross_entropy(self._hidden(features), self.weight, targets, self.bias)

    def _hidden(self, features: Tensor) -> Tensor:
        return self.norm(F.gelu(self.dense(features)))


class ClassificationHead(DecaySparing):
    """logits = V tanh(W x_0 + b) + c of a text's first token ``<s>``, with dropout before both products.

    Weights and biases start as :class:`torch.nn.Linear`'s, U(-1/sqrt(embed_dim), 1/sqrt(embed_dim)): fairseq makes the
    head after the encoder has got its initial weights.

    Args:
        embed_dim: width of the features.
        num_outputs: classes, or 1 for a regression.
        dropout: rate.
    """

    @drawn_in_float32
    def __init__(self, embed_dim: int, num_outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        if num_outputs < 1:
            raise ValueError(f"num_outputs={num_outputs}: expected at least 1")
        self.dense = nn.Linear(embed_dim, embed_dim)
        self.output = nn.Linear(embed_dim, num_outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """``(batch, length, embed_dim)`` -> ``(batch, num_outputs)``."""
        x = torch.tanh(self.dense(self.dropout(features[:, 0])))
        return self.output(self.dropout(x))


def initialize(module: nn.Module) -> None:
    """N(0, 0.02) for matrices and tables, 0 for biases and the padding's row; everything else as it is."""
    if isinstance(module, (nn.Linear, nn.Embedding, LearnedPositions)):
        nn.init.normal_(module.weight, std=INITIAL_STD)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
