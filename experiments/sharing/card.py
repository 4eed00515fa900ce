"""The model card of an exported run: every number in it comes from the run's record or config."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from data_prep.catalog import terms_of
from experiments.runs.records import Record
from experiments.util.errors import UserError

PAPER = "https://arxiv.org/abs/2307.09270"
# The hub's word for what a model does, and how it is used, by the library's class.
_PIPELINES = {
    "DecoderLM": "text-generation",
    "MaskedLM": "fill-mask",
    "TextClassifier": "text-classification",
    "VisionTransformer": "image-classification",
}
_INPUTS = {
    "DecoderLM": ("torch.tensor([[2, 5, 9]])", "numbers of words; 2 is </s>, after which a line starts"),
    "MaskedLM": ("torch.tensor([[5, 9, 2]])", "numbers of words; the last of the vocabulary is <mask>"),
    "TextClassifier": ("torch.tensor([[0, 5, 9, 2]])", "<s>, numbers of words, </s>"),
    "VisionTransformer": (
        "torch.zeros(1, {channels}, {image_size}, {image_size})",
        "scaled to 0..1, then normalized by ImageNet's mean and deviation",
    ),
}
_RECIPE = (
    "max_update", "epochs", "batch_size", "tokens_per_sample", "max_length", "learning_rate", "schedule",
    "weight_decay", "precision",
)  # fmt: skip


@dataclass(frozen=True)
class License:
    """A license by the hub's word for it.

    Raises:
        UserError: it is no such word.
    """

    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", self.name):
            raise UserError(
                f"license={self.name}: expected a word of the hub's list, e.g. mit, apache-2.0, cc-by-sa-3.0"
            )


def model_card(
    record: Record, config: Mapping[str, Any], content: Mapping[str, Any], files: Sequence[str], license: License,
    name: str,
) -> str:  # fmt: skip
    """README.md with the hub's metadata.

    Args:
        record: of the finished run.
        config: the run's.
        content: of the exported ``config.json``.
        files: names of the exported files.
        license: of the weights.
        name: of the model.
    """
    run, manifest, architecture = record["run"], record["manifest"], content["architecture"]
    data, metrics = manifest["data"], _metrics(record)
    task = f", task `{run['task']}`" if "task" in run else ""
    head = yaml.safe_dump(_metadata(record, content, license, name), sort_keys=False, allow_unicode=True)
    encoding = ", ".join([f"`{config['encoding']['name']}`", *_pairs(config["encoding"]["options"])])
    recipe = _pairs({key: config["recipe"].get(key) for key in _RECIPE})
    protocol = _pairs({key: value for key, value in config["protocol"].items() if key != "name"})
    commit = manifest["git"]["commit"]
    code = f"commit `{commit}`" + (" with local changes" if manifest["git"]["dirty"] else "") if commit else "unknown"
    packages = manifest["packages"]
    model = _pairs(content["model"], skip=("encoding", "feature_map_options", "vocab_size"))
    example, meaning = (part.format(**content["model"]) for part in _INPUTS[architecture])
    commands = [f"python -m experiments.evaluate run={name}"]
    if architecture == "DecoderLM":
        commands.append(f'python -m experiments.generate run={name} prompt="..." tokens=60')
    commands = "\n".join(commands)
    return f"""---
{head}---

# {name}

A model with the position encoding {encoding}, trained as experiment `{run["experiment"]}`{task} of
[lrpe](https://arxiv.org/abs/2307.09270), the framework that reproduces Linearized Relative Positional Encoding
(Qin et al., TMLR 2023). One seed of one run: a difference from another model's figures can be chance.

## Results

| metric | value |
| --- | ---: |
{metrics}

Losses are in nats (per token, masked token or image; squared errors for a regression). They were measured on the best
checkpoint, which was chosen on the validation split.

## Use

With torch and safetensors alone (`pip install` of a checkout of lrpe installs both):

```python
import torch
from lrpe import {architecture}

model = {architecture}.from_pretrained("{name}")
logits = model({example})  # {meaning}
```

From a checkout of lrpe:

```
{commands}
```

Files: {", ".join(f"`{file}`" for file in files)}.

## Training

- Data: `{data["name"]}`, identity `{data["identity"]}` (SHA-256 over the prepared files); {terms_of(data["name"])}.
- Protocol `{run["protocol"]}`: {", ".join(protocol)}.
- Recipe: {", ".join(recipe)}; {record["updates"]:,} updates, seed {run["seed"]}.
- Model: {", ".join(model)}; {record["parameters"]["total"]:,} parameters, {record["parameters"]["encoding"]:,} of them
  of the encoding.
- Run `{run["identity"]}`, record sealed with SHA-256 `{record["sha256"]}`.
- Code: {code}; Python {manifest["python"]}, torch {packages.get("torch", "unknown")}, on {_hardware(manifest)}.

## License

The weights: `{license.name}`. The data has terms of its own (above); whether they bind weights that were trained on it
is not settled here.

## Citation

{PAPER} (Qin et al., Linearized Relative Positional Encoding, TMLR 2023).
"""


def _metadata(record: Record, content: Mapping[str, Any], license: License, name: str) -> dict[str, Any]:
    run, architecture = record["run"], content["architecture"]
    pipeline = _PIPELINES[architecture]
    source = record["manifest"]["data"].get("source") or {}
    hub = [source["id"]] if source.get("kind") == "hub" else []
    values = [
        {"name": key.replace("_", " "), "type": key.partition("_")[2] or key, "value": value}
        for key, value in record["metrics"].items()
        if value is not None and key.startswith(("valid_", "test_"))
    ]
    data = {"name": run.get("task", run["data"]), "type": hub[0] if hub else run["data"]}
    return {
        "license": license.name,
        "library_name": "lrpe",
        "pipeline_tag": pipeline,
        **({"datasets": hub} if hub else {}),
        "tags": ["lrpe", "positional-encoding", "linear-attention", run["encoding"]],
        "model-index": [{"name": name, "results": [{"task": {"type": pipeline}, "dataset": data, "metrics": values}]}],
    }


def _metrics(record: Record) -> str:
    shown = {key: "–" if value is None else f"{value:.4f}" for key, value in record["metrics"].items()}
    return "\n".join(f"| {key.replace('_', ' ')} | {value} |" for key, value in shown.items())


def _pairs(values: Mapping[str, Any], skip: Sequence[str] = ()) -> list[str]:
    return [f"{key} {value}" for key, value in values.items() if value not in (None, [], {}) and key not in skip]


def _hardware(manifest: Mapping[str, Any]) -> str:
    found = manifest["hardware"]
    return ", ".join(found["gpus"]) or f"{found['cpu']}, {found['cores']} cores"
