"""A store of runs that nobody trained: real files in the real layout, for what reads them."""

from __future__ import annotations

import copy
import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from experiments.config import recorded_identity
from experiments.runs.records import RunFolder
from experiments.util.files import FIELD, file_checksum, record_checksum

DATA = "d" * 64
# What decides which other keys of an image recipe are read.
OF_IMAGES = {
    "warmup_updates": 3, "validate_interval_updates": 10, "crop": "none", "auto_augment": None, "mixup": 0.0,
    "cutmix": 0.0,
}  # fmt: skip
MANIFEST = {
    "created": "2026-01-02T03:04:05.000+00:00",
    "command": ["train.py", "encoding=rope"],
    "git": {"commit": "c" * 40, "dirty": False},
    "python": "3.11.7",
    "packages": {"torch": "2.13.0", "numpy": "2.3.5"},
    "hardware": {"cpu": "AMD EPYC", "cores": 2, "gpus": []},
    "environment": {},
    "data": {"name": "pydoc", "identity": DATA, "files": {}, "source": None},
}


def config_of(experiment: str = "alm", encoding: str = "rope", seed: int = 1, **changes: Any) -> dict[str, Any]:
    """A resolved config, as small as an identity allows; ``changes`` are dotted keys with ``__`` for the dot."""
    config: dict[str, Any] = {
        "seed": seed,
        "experiment": {"name": experiment, "absolute": "sinusoidal"},
        "profile": {"name": "demo"},
        "encoding": {"label": encoding, "name": encoding, "options": {}, "published": {}, "controlled": {}},
        "attention": {"name": "linear", "feature_map": "1+elu", "feature_map_options": {}},
        "protocol": {"name": "controlled", "normalizer": "layernorm", "absolute": "none", "mask_padding": True},
        "model": {"name": "decoder_demo", "num_layers": 2},
        "data": {"name": "pydoc", "folder": "data/pydoc"},
        "recipe": {
            "name": "demo",
            "tokens_per_sample": 64,
            "learning_rate": 0.004,
            "max_update": 30,
            "weight_decay": 0.01,
            "schedule": "cosine",
            **(OF_IMAGES if experiment == "imagenet" else {}),
        },
        "engine": {"device": "auto", "fairseq": {}},
        "tracker": {"mode": "disabled"},
        "paths": {"results": "results", "data": "data"},
    }
    for key, value in changes.items():
        *groups, name = key.split("__")
        node = config
        for group in groups:
            node = node[group]
        node[name] = value
    return config


def history_of(loss: float, updates: int = 30, quantity: str | None = None) -> list[dict[str, Any]]:
    """Rows every ten updates; the last validation has ``loss``, the last training row a little less."""
    rows: list[dict[str, Any]] = []
    for update in range(10, updates + 1, 10):
        value = loss + (updates - update) / 10
        row = {"update": update, "tokens": update * 256, "epoch": 1, "wall_seconds": update / 10}
        rows.append({**row, "split": "train", "loss": value - 0.1, "perplexity": math.exp(value - 0.1)})
        rows.append({**row, "split": "valid", "loss": value, "perplexity": math.exp(value)})
        if quantity:
            rows[-1][quantity] = 1 / value
    return rows


def write_run(
    results: Path,
    *,
    status: str = "finished",
    loss: float = 3.0,
    metrics: Mapping[str, float | None] | None = None,
    quantity: str | None = None,
    config: Mapping[str, Any] | None = None,
    **changes: Any,
) -> RunFolder:
    """One run folder with everything in it. ``status="dead"`` leaves it as a killed process does."""
    resolved = copy.deepcopy(dict(config)) if config is not None else config_of(**changes)
    named = {
        "experiment": resolved["experiment"]["name"],
        "encoding": resolved["encoding"]["label"],
        "protocol": resolved["protocol"]["name"],
        "profile": resolved["profile"]["name"],
        "data": resolved["data"]["name"],
        "seed": resolved["seed"],
        "identity": _identity(resolved),
    }
    named["name"] = f"{named['encoding']} seed {named['seed']}"
    place = results / "runs" / named["experiment"] / f"{named['encoding']}-{named['identity']}" / f"seed{named['seed']}"
    folder = RunFolder(place)
    folder.write_config(yaml.safe_dump(resolved, sort_keys=False))
    folder.begin(named, manifest=MANIFEST, parameters={"total": 1_203_200, "encoding": 0})
    rows = history_of(loss, quantity=quantity)
    if status == "failed":
        rows = rows[:2]
    folder.history_path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder.checkpoints.mkdir(exist_ok=True)
    (folder.checkpoints / "checkpoint_best.pt").write_bytes(b"weights")
    if status == "dead":
        return folder
    measured = None
    if status == "finished":
        measured = {"valid_loss": loss, "test_loss": loss + 0.1, "train_loss": rows[-2]["loss"], **(metrics or {})}
        if quantity is None:
            measured |= {"valid_perplexity": math.exp(loss), "test_perplexity": math.exp(loss + 0.1)}
    folder.close(
        status,
        to_update=rows[-1]["update"],
        metrics=measured,
        error="RuntimeError: boom" if status == "failed" else None,
        tokens_per_second=9_000.0,
        tokens=rows[-1]["tokens"],
    )
    return folder


def _identity(config: Mapping[str, Any]) -> str:
    try:
        return recorded_identity(config, {"data": {"identity": DATA}})
    except KeyError:  # a family with sections of its own, which this small config lacks
        return f"{zlib.crc32(json.dumps(config).encode()):08x}"


def edit_record(folder: RunFolder, seal: bool = False, **changes: Any) -> None:
    """Change keys of ``record.json`` by hand (``a__b`` is b within a); ``seal`` makes its checksum fit again."""
    record = json.loads(folder.record_path.read_text())
    for key, value in changes.items():
        *groups, name = key.split("__")
        node = record
        for group in groups:
            node = node[group]
        node[name] = value
    if seal:
        record["history_sha256"] = file_checksum(folder.history_path)
        record[FIELD] = record_checksum(record)
    folder.record_path.write_text(json.dumps(record))
