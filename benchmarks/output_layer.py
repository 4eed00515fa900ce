"""The output layer and its loss: blocks of rows beside fairseq's loss, cross entropy and torch's own chunked one.

Time of the loss alone (forward and backward) and of a whole training step of the paper's base decoder, at both of its
vocabularies; peak memory by a process of its own for every case (Linux).
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import compare
from benchmarks.memory import MEBIBYTE, status
from lrpe.models import DecoderConfig, DecoderLM
from lrpe.ops.linear_cross_entropy import ROWS, linear_cross_entropy

TOKENS, WIDTH, PADDING = 2048, 512, 1
VOCABULARIES = {"GPT-2 BPE": 50_264, "words": 267_744}
FAIRSEQ, OURS = "fairseq's loss", "lrpe, 512 rows at a time"
ENCODING = {"name": "lrpe", "core": "orthogonal", "projection": "householder", "learn_angles": False, "seed": 0}
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def fairseq(features: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """What fairseq's ``cross_entropy`` criterion computes: float32 log-probabilities of all tokens."""
    log_p = F.log_softmax(F.linear(features, weight), dim=-1, dtype=torch.float32)
    return F.nll_loss(log_p, targets, ignore_index=PADDING, reduction="sum")


def cross_entropy(features: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(features, weight), targets, ignore_index=PADDING, reduction="sum")


def torch_chunked(features: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=ROWS)
    return F.linear_cross_entropy(
        features, weight, targets, ignore_index=PADDING, reduction="sum", options=options
    )  # fmt: skip


def chunked(features: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return linear_cross_entropy(features, weight, targets, ignore_index=PADDING)


def losses() -> dict[str, Loss]:
    """The alternatives by name; torch's own where this torch has it."""
    own = {"torch's F.linear_cross_entropy, 512 rows": torch_chunked} if hasattr(F, "linear_cross_entropy") else {}
    return {FAIRSEQ: fairseq, "F.cross_entropy": cross_entropy, **own, OURS: chunked}


class OutputLayer:
    """Forward and backward of a loss of random features."""

    def __init__(self, vocabulary: int, loss: Loss) -> None:
        torch.manual_seed(0)
        self.loss = loss
        self.features = torch.randn(TOKENS, WIDTH, requires_grad=True)
        self.weight = (torch.randn(vocabulary, WIDTH) * WIDTH**-0.5).requires_grad_()
        self.targets = torch.randint(4, vocabulary, (TOKENS,))

    def __call__(self) -> None:
        self.features.grad = self.weight.grad = None
        self.loss(self.features, self.weight, self.targets).backward()


class TrainingStep:
    """Forward, backward and update of the paper's base decoder, four sequences of 512 tokens."""

    def __init__(self, vocabulary: int, loss: Loss) -> None:
        torch.manual_seed(0)
        self.loss = loss
        self.model = DecoderLM(DecoderConfig.base(vocabulary, encoding=ENCODING))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), fused=True)
        self.tokens, self.targets = torch.randint(4, vocabulary, (2, TOKENS // 512, 512))

    def __call__(self) -> None:
        self.optimizer.zero_grad()
        features = self.model.features(self.tokens).flatten(0, 1)
        self.loss(features, self.model.embedding.weight, self.targets.flatten()).backward()
        self.optimizer.step()


def peak(kind: type[OutputLayer] | type[TrainingStep], vocabulary: int, loss: Loss) -> tuple[int, int]:
    """Peak bytes of two steps, in all and above what the process held after setting up."""
    step = kind(vocabulary, loss)
    held = status("VmRSS")
    step()
    step()
    return status("VmHWM"), status("VmHWM") - held


def measure() -> list[dict[str, Any]]:
    return [
        _table(kind, what, name, words, rounds)
        for kind, what, rounds in ((OutputLayer, "The loss alone", 5), (TrainingStep, "A whole training step", 3))
        for name, words in VOCABULARIES.items()
    ]


def _times(kind: Any, words: int, alternatives: dict[str, Loss], title: str, rounds: int) -> dict[str, Any]:
    step = kind(words, fairseq)  # one problem for all: the weights of several would not fit a small machine

    def run(loss: Loss) -> None:
        step.loss = loss
        step()

    cases = {case: lambda loss=loss: run(loss) for case, loss in alternatives.items()}
    return compare(title, cases, reference=FAIRSEQ, rounds=rounds, warm=1)


def _table(kind: Any, what: str, name: str, words: int, rounds: int) -> dict[str, Any]:
    alternatives = losses() if kind is OutputLayer else {FAIRSEQ: fairseq, OURS: chunked}
    peaks = {}
    for case, loss in alternatives.items():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peaks[case] = pool.apply(peak, (kind, words, loss))
    title = f"{what}, {words:,} words ({name}), {TOKENS:,} tokens, float32"
    # A process of its own for the times too: memory that other subjects left there hides what fresh pages cost.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        table = pool.apply(_times, (kind, words, alternatives, title, rounds))
    base = peaks[FAIRSEQ]
    memory = [
        f"{case} {above / MEBIBYTE:,.0f} MiB ({above / base[1]:.2f}x; process {whole / MEBIBYTE:,.0f}, "
        f"{whole / base[0]:.2f}x)"
        for case, (whole, above) in peaks.items()
    ]
    for row in table["rows"]:
        row["peak_bytes"] = peaks[row["name"]][1]
    table["note"] = "Peak memory above the weights and inputs: " + "; ".join(memory) + "."
    return table
