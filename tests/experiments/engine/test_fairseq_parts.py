"""Parts that the published models took from fairseq, against fairseq's own."""

from __future__ import annotations

import copy

import pytest
import torch
from fairseq.modules import AdaptiveInput as FairseqAdaptiveInput
from fairseq.modules import AdaptiveSoftmax as FairseqAdaptiveSoftmax
from fairseq.modules import SinusoidalPositionalEmbedding
from fairseq.optim.adam import Adam as FairseqAdam

from experiments.engine.optimizer import LRPEAdam, LRPEAdamConfig
from lrpe.encodings import SinusoidalPositions
from lrpe.models.adaptive import AdaptiveInput, AdaptiveSoftmax

VOCABULARY, WIDTH, CUTOFFS = 60, 32, (20, 40)


def test_adaptive_input_and_softmax_are_fairseq_s() -> None:
    """Also the head, which has no projection because its table is as wide as the model."""
    torch.manual_seed(0)
    theirs_in = FairseqAdaptiveInput(VOCABULARY, 1, WIDTH, 4, WIDTH, list(CUTOFFS)).double()
    theirs_out = FairseqAdaptiveSoftmax(
        VOCABULARY, WIDTH, list(CUTOFFS), dropout=0.0, adaptive_inputs=theirs_in, tie_proj=True
    ).double()
    ours_in = AdaptiveInput(VOCABULARY, 1, WIDTH, CUTOFFS).double()
    ours_out = AdaptiveSoftmax(ours_in, dropout=0.0).double()
    with torch.no_grad():
        for (table, projection), own, own_projection in zip(
            theirs_in.embeddings, ours_in.embeddings, ours_in.projections, strict=True
        ):
            own.weight.copy_(table.weight)
            own_projection.weight.copy_(projection.weight)
        ours_out.class_projection.weight.copy_(theirs_out.head.class_proj.weight)
    tokens, x = torch.arange(VOCABULARY)[None], torch.randn(2, 5, WIDTH, dtype=torch.float64)
    torch.testing.assert_close(ours_in(tokens), theirs_in(tokens), check_dtype=False)
    torch.testing.assert_close(ours_out.get_log_prob(x), theirs_out.get_log_prob(x, None))


def test_sinusoids_are_fairseq_s_from_behind_the_padding_index() -> None:
    theirs = SinusoidalPositionalEmbedding(16, padding_idx=1, init_size=64)(torch.full((1, 30), 5))[0]
    torch.testing.assert_close(SinusoidalPositions(16, first=2)(30), theirs, rtol=0, atol=1e-5)
    torch.testing.assert_close(SinusoidalPositions(16)(28, offset=2), theirs[:28], rtol=0, atol=1e-5)


BETAS, EPS, DECAY, RATE = (0.9, 0.98), 1e-3, 0.1, 1e-2  # an epsilon as large as the gradients, which shows


def adam(parameter: torch.nn.Parameter, epsilon: str) -> LRPEAdam:
    config = LRPEAdamConfig(adam_betas=BETAS, adam_eps=EPS, epsilon=epsilon, weight_decay=DECAY, lr=[RATE])
    return LRPEAdam(config, [parameter])


def gradients(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [1e-3 * torch.randn(50, generator=generator) for _ in range(count)]


def test_epsilon_before_the_correction_is_fairseq_s_adam() -> None:
    ours, theirs, kingma = (torch.nn.Parameter(torch.ones(50)) for _ in range(3))
    reference = FairseqAdam([theirs], lr=RATE, betas=BETAS, eps=EPS, weight_decay=DECAY)
    optimizer, other = adam(ours, "before_correction"), adam(kingma, "after_correction")
    for gradient in gradients(60):
        ours.grad, theirs.grad, kingma.grad = gradient.clone(), gradient.clone(), gradient.clone()
        for step in (optimizer.step, reference.step, other.step):
            step()
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    assert (kingma - theirs).abs().max() > 1e-3


def test_its_effective_epsilon_is_seven_times_as_large_at_first_and_equal_in_the_end() -> None:
    parameter = torch.nn.Parameter(torch.ones(50))
    optimizer, effective = adam(parameter, "before_correction"), []
    for gradient in gradients(400):
        parameter.grad = gradient
        optimizer.step()
        effective.append(optimizer.optimizer.param_groups[0]["eps"] / EPS)
    assert effective[0] == pytest.approx(7.07, abs=0.01)
    assert effective[-1] == pytest.approx(1, abs=1e-3)


def test_a_resumed_run_goes_on_with_the_count() -> None:
    whole, part = (torch.nn.Parameter(torch.ones(50)) for _ in range(2))
    optimizer, before = adam(whole, "before_correction"), adam(part, "before_correction")
    resumed = before
    for update, gradient in enumerate(gradients(8)):
        if update == 4:
            resumed = adam(part, "before_correction")
            resumed.load_state_dict(copy.deepcopy(before.state_dict()))
        whole.grad, part.grad = gradient.clone(), gradient.clone()
        optimizer.step()
        resumed.step()
    assert torch.equal(whole, part)
