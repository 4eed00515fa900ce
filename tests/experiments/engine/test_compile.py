"""``engine.compile``: every encoding that conf/ has becomes one graph, which later lengths share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from experiments.config import compose
from experiments.engine.families import family_of
from experiments.engine.model_config import library_config
from lrpe.models import BidirectionalEncoder, DecoderConfig, DecoderLM, EncoderConfig, VisionConfig, VisionTransformer

ENCODINGS = sorted(path.stem for path in (Path(__file__).parents[3] / "conf" / "encoding").glob("*.yaml"))
VOCABULARY = 20


def _model(encoding: str) -> DecoderLM:
    config = compose(["experiment=alm", "profile=demo", f"encoding={encoding}", "protocol=controlled", "seed=1"])
    torch.manual_seed(0)
    section = family_of(config).model(config)
    return DecoderLM(library_config(DecoderConfig, section, vocab_size=VOCABULARY, padding_index=1)).double()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_one_graph_trains_every_length_after_the_second(encoding: str) -> None:
    """torch.compile takes the first length for a constant and the second for proof that it is none."""
    torch._dynamo.reset()
    model, counter, graphs = _model(encoding), CompileCounterWithBackend("aot_eager"), []
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    for length in (70, 64, 130, 33):
        tokens = torch.randint(4, VOCABULARY, (2, length))
        gradients = []
        for network in (model, compiled):
            torch.manual_seed(length)
            model.zero_grad()
            network(tokens).logsumexp(-1).mean().backward()
            gradients.append([parameter.grad.clone() for parameter in model.parameters() if parameter.requires_grad])
        torch.testing.assert_close(gradients[1], gradients[0])
        graphs.append(counter.frame_count)
    assert graphs == [1, 2, 2, 2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "encoding"),
    [("blm", encoding) for encoding in ENCODINGS]
    + [("imagenet", encoding) for encoding in ENCODINGS if encoding != "lrpe_d"],  # images take no decay
)
def test_encoder_and_vision_transformer_become_one_graph(family: str, encoding: str) -> None:
    torch._dynamo.reset()
    config = compose([f"experiment={family}", "profile=demo", f"encoding={encoding}", "protocol=controlled"])
    section = family_of(config).model(config)
    torch.manual_seed(0)
    model: torch.nn.Module
    if family == "blm":
        words = {"vocab_size": VOCABULARY, "padding_index": 1}
        model = BidirectionalEncoder(library_config(EncoderConfig, section, **words)).double()
        inputs = torch.randint(4, VOCABULARY, (3, 20))
        inputs[0, 15:] = 1  # padding
    else:
        model = VisionTransformer(library_config(VisionConfig, section, num_classes=10)).double()
        inputs = torch.rand(3, model.config.channels, 8, 8, dtype=torch.float64)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    found = []
    for network in (model, compiled):
        torch.manual_seed(1)
        model.zero_grad()
        out = network(inputs)
        out.logsumexp(-1).mean().backward()
        found.append([out.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
    torch.testing.assert_close(found[1], found[0])
