"""The default dtype, which loaders of other libraries set while they build a model, changes no draw and no constant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from lrpe import BidirectionalEncoder, DecoderConfig, DecoderLM, EncoderConfig, VisionConfig, VisionTransformer
from lrpe.models import ClassificationHead
from tests.lrpe.encodings.encoding_cases import ALL

DTYPES = (torch.float64, torch.bfloat16, torch.float16)
SIZE = {"embed_dim": 16, "ffn_dim": 16, "num_heads": 2, "num_layers": 1, "absolute": "learned"}
TEXT = {**SIZE, "vocab_size": 30, "max_positions": 8, "encoding": {"name": "lrpe", "learn_angles": True}}
MODELS: dict[str, Callable[[], nn.Module]] = {
    "decoder": lambda: DecoderLM(DecoderConfig(**TEXT)),
    "adaptive": lambda: DecoderLM(DecoderConfig(**TEXT, adaptive_cutoffs=(10, 20))),
    "favor": lambda: DecoderLM(DecoderConfig(**{**TEXT, "feature_map": "favor", "encoding": {"name": "spe"}})),
    "encoder": lambda: BidirectionalEncoder(EncoderConfig(**{**TEXT, "encoding": {"name": "permuteformer"}})),
    "head": lambda: ClassificationHead(16, 3),
    "vision": lambda: VisionTransformer(
        VisionConfig(**SIZE, num_classes=3, image_size=8, patch_size=4, pooling="class_token")
    ),
}


@contextmanager
def default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", ALL, ids=str)
def test_an_encoding_is_the_same(case, dtype: torch.dtype) -> None:
    usual = case.build().eval()
    with default(dtype):
        other = case.build().eval()
    for (name, one), (_, two) in zip(state(usual).items(), state(other).items(), strict=True):
        assert one.dtype == two.dtype, name
        assert torch.equal(one, two), name
    if usual.ndim == 1:
        x = torch.randn(1, usual.num_heads, 5, usual.head_dim, generator=torch.Generator().manual_seed(0))
        expected = usual(x, x)
        with default(dtype):
            found = other(x, x)
        for one, two in zip(expected, found, strict=True):
            assert torch.equal(one, two)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_the_one_of_float32_cast(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    expected = MODELS[name]().to(dtype)
    torch.manual_seed(3)
    with default(dtype):
        found = MODELS[name]()
        assert torch.get_default_dtype() == dtype
    for (key, one), (_, two) in zip(state(expected).items(), state(found).items(), strict=True):
        assert one.dtype == two.dtype, key
        assert torch.equal(one, two), key
