"""Parts that the published models took from fairseq, against fairseq's own."""

from __future__ import annotations

import torch
from fairseq.modules import AdaptiveInput as FairseqAdaptiveInput
from fairseq.modules import AdaptiveSoftmax as FairseqAdaptiveSoftmax

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
