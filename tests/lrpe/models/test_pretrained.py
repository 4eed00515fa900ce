"""Models in folders: the same function to the bit, from torch and safetensors alone, and nothing else by mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from lrpe import (
    ENCODINGS,
    BidirectionalEncoder,
    DecoderConfig,
    DecoderLM,
    EncoderConfig,
    MaskedLM,
    TextClassifier,
    VisionConfig,
    VisionTransformer,
)
from lrpe.models import ClassifierConfig

WORDS = 24
TEXT = {"vocab_size": WORDS, "num_layers": 2, "embed_dim": 16, "ffn_dim": 32, "num_heads": 2}
TOKENS = torch.arange(2, 22).view(2, 10) % WORDS


def decoder(**changes: Any) -> DecoderLM:
    return DecoderLM(DecoderConfig(**{**TEXT, **changes}))


def vision(**changes: Any) -> VisionTransformer:
    sizes = {"num_classes": 3, "image_size": 8, "patch_size": 4, "num_layers": 2, "embed_dim": 16, "ffn_dim": 32}
    return VisionTransformer(VisionConfig(**{**sizes, "num_heads": 2, **changes}))


MODELS: dict[str, Callable[[], Any]] = {
    "decoder": decoder,
    "decoder, adaptive": lambda: decoder(adaptive_cutoffs=(8, 16)),
    "decoder, untied, learned positions": lambda: decoder(share_input_output=False, absolute="learned"),
    "decoder, softmax": lambda: decoder(attention="softmax", encoding={"name": "rope"}),
    "encoder": lambda: BidirectionalEncoder(EncoderConfig(**TEXT)),
    "masked LM": lambda: MaskedLM(EncoderConfig(**TEXT)),
    "classifier": lambda: TextClassifier(ClassifierConfig(**TEXT, num_outputs=3, head_dropout=0.1)),
    "vision": lambda: vision(pooling="class_token", absolute="learned"),
}


def outputs(model: nn.Module) -> torch.Tensor:
    """In evaluation mode; an encoding that draws does so from the same seed."""
    images = torch.linspace(-1, 1, 2 * 3 * 8 * 8).view(2, 3, 8, 8)
    torch.manual_seed(5)
    with torch.inference_mode():
        return model.eval()(images if isinstance(model, VisionTransformer) else TOKENS)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_with_the_same_logits_to_the_bit(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = MODELS[name]()
    model.save_pretrained(tmp_path)
    torch.manual_seed(2)  # what is drawn while the model is built must not matter
    again = type(model).from_pretrained(tmp_path)
    assert not again.training
    assert again.config == model.config
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1, (
        "who may read the config may read the weights"
    )
    assert torch.equal(outputs(again), outputs(model))


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_every_encoding_comes_back(encoding: str, tmp_path: Path) -> None:
    """Drawn permutations, projections and vectors are part of the weights."""
    torch.manual_seed(1)
    model = decoder(encoding={"name": encoding})
    model.save_pretrained(tmp_path)
    torch.manual_seed(2)
    assert torch.equal(outputs(DecoderLM.from_pretrained(tmp_path)), outputs(model))


def test_a_weight_under_several_names_is_written_once(tmp_path: Path) -> None:
    model = MODELS["decoder, adaptive"]()
    model.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert sum(weight.numel() for weight in stored.values()) == sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize("name", ["masked LM", "classifier"])
def test_the_encoder_of_a_larger_model_loads_by_itself(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    model.save_pretrained(tmp_path)
    encoder = BidirectionalEncoder.from_pretrained(tmp_path)
    assert torch.equal(outputs(encoder), outputs(model.encoder))


def test_loading_needs_torch_and_safetensors_alone(tmp_path: Path) -> None:
    decoder().save_pretrained(tmp_path)
    code = (
        "import sys, torch, safetensors.torch; known = set(sys.modules); from lrpe import DecoderLM; "
        f"DecoderLM.from_pretrained({str(tmp_path)!r}); "
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - known} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(eval(done.stdout)) <= {"lrpe", "torch", "safetensors"}


OTHER_FORMATS = {
    r"transformers \(gpt2\)": {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]},
    r"timm \(deit_small_patch16_224\)": {"architecture": "deit_small_patch16_224", "num_features": 384},
    "format of mine": {"format": "mine"},
    "some other library": {"hidden": 3},
    "version 2 of the format": {"format": "lrpe", "version": 2},
}


@pytest.mark.parametrize("named", OTHER_FORMATS)
def test_another_format_is_refused_by_name(named: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(OTHER_FORMATS[named]))
    with pytest.raises(ValueError, match=named):
        DecoderLM.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("record.json", "a run's folder; python -m experiments.export run="),
        ("pytorch_model.bin", r"pytorch_model.bin is a checkpoint of torch"),
        ("notes.txt", "expected config.json and model.safetensors"),
    ],
)
def test_a_folder_without_a_config_says_what_it_is(file: str, said: str, tmp_path: Path) -> None:
    (tmp_path / file).touch()
    with pytest.raises(FileNotFoundError, match=said):
        DecoderLM.from_pretrained(tmp_path)


def test_a_name_of_the_hub_says_how_to_fetch_it() -> None:
    with pytest.raises(FileNotFoundError, match="hf download ORG/NAME --local-dir DIR"):
        DecoderLM.from_pretrained("somebody/rope")


def test_another_model_says_which_class_loads_it(tmp_path: Path) -> None:
    vision().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"holds a VisionTransformer: load it with VisionTransformer.from_pretrained"):
        DecoderLM.from_pretrained(tmp_path)


def _change_model(folder: Path, **changes: Any) -> None:
    content = json.loads((folder / "config.json").read_text())
    content["model"].update(changes)
    (folder / "config.json").write_text(json.dumps(content))


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    decoder().save_pretrained(tmp_path)
    _change_model(tmp_path, embed_dim=32)
    with pytest.raises(ValueError, match=r"embedding.weight is \(24, 16\), and config.json makes .* \(24, 32\)"):
        DecoderLM.from_pretrained(tmp_path)
    _change_model(tmp_path, embed_dim=16, num_layers=3)
    with pytest.raises(ValueError, match=r"layers\.2\..* is missing"):
        DecoderLM.from_pretrained(tmp_path)
    _change_model(tmp_path, num_layers=1)
    with pytest.raises(ValueError, match=r"layers\.1\..* no such weight"):
        DecoderLM.from_pretrained(tmp_path)
    _change_model(tmp_path, num_layers=2, depth=3)
    with pytest.raises(ValueError, match=r"no config of DecoderLM: .*depth"):
        DecoderLM.from_pretrained(tmp_path)


def test_damaged_or_missing_weights_are_named(tmp_path: Path) -> None:
    decoder().save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"model.safetensors is damaged"):
        DecoderLM.from_pretrained(tmp_path)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"model.safetensors is missing"):
        DecoderLM.from_pretrained(tmp_path)
