"""A store of many runs of all families, shaped like real ones: ``RunFolder`` writes one, the others vary it."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from experiments.config import compose
from experiments.runs.provenance import build_manifest
from experiments.runs.records import RunFolder

ENCODINGS = (
    "none", "absolute", "rope", "spe", "spe_conv", "permuteformer", "lrpe_unitary", "lrpe_unitary_learned",
    "lrpe_orthogonal", "lrpe_orthogonal_mixed", "lrpe_permutation", "lrpe_d",
)  # fmt: skip
EXPERIMENTS = {"alm": "wikitext103", "blm": "wikitext103_bpe", "glue": "mrpc", "imagenet": "imagenet"}
RATES = (5e-4, 1e-3, 2e-4)
SEEDS = range(1, 6)
INTERVAL = 100  # updates between training rows


def write_store(results: Path, runs: int, rows: int = 200) -> None:
    """``runs`` run folders below ``results``, each with about ``rows`` rows of history; the same ones each time.

    Every 20th failed, every 25th is running and every 30th was interrupted.
    """
    template = _template(results / "template")
    for number, choice in enumerate(islice(_choices(), runs)):
        _write_run(results, template, number, rows, *choice)


def _choices() -> Iterator[tuple[float, str, str, str, int]]:
    yield from product(RATES, ("controlled", "published"), EXPERIMENTS, ENCODINGS, SEEDS)


def _template(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    config = compose(["profile=small", "encoding=rope"])
    run = RunFolder(folder)
    run.begin({}, manifest=build_manifest({}, None, ["train.py"]), parameters={"total": 44_650_000, "encoding": 0})
    run.close("finished", to_update=1)
    record = dict(run.load() or {})
    run.record_path.unlink()
    folder.rmdir()
    return record, OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


def _write_run(
    results: Path,
    template: tuple[dict[str, Any], dict[str, Any]],
    number: int,
    rows: int,
    rate: float,
    protocol: str,
    experiment: str,
    encoding: str,
    seed: int,
) -> None:
    record, config = copy.deepcopy(template)
    identity = f"{ENCODINGS.index(encoding):02x}{RATES.index(rate):02x}{len(protocol):04x}"
    folder = RunFolder(results / "runs" / experiment / f"{encoding}-{identity}" / f"seed{seed}")
    folder.path.mkdir(parents=True)
    status = next(
        (name for every, name in ((20, "failed"), (25, "running"), (30, "interrupted")) if number % every == 1), ""
    )
    draw = random.Random(number)
    history = list(_history(experiment, encoding, draw, rows if not status else rows // 2))
    config["seed"], config["recipe"]["learning_rate"] = seed, rate
    config["encoding"] |= {"label": encoding, "name": encoding}
    config["experiment"]["name"], config["protocol"]["name"] = experiment, protocol
    record["run"] = {
        "experiment": experiment,
        "encoding": encoding,
        "protocol": protocol,
        "profile": "small",
        "data": EXPERIMENTS[experiment],
        "seed": seed,
        "identity": identity,
        "name": f"{encoding} seed {seed} ({protocol}, small)",
    }
    record["status"] = status or "finished"
    record["metrics"] = {} if status else _metrics(history)
    record["error"] = f"RuntimeError: loss is nan at update {history[-1]['update']}" if status == "failed" else None
    record |= {
        "updates": history[-1]["update"],
        "tokens": history[-1]["tokens"],
        "tokens_per_second": 90_000.0 + number,
    }
    record |= {"wall_seconds": history[-1]["wall_seconds"], "peak_memory_bytes": 9_000_000_000 + number * 10**6}
    record["segments"][0] |= {"started": f"2026-11-{1 + number % 28:02d}T08:{number % 60:02d}:00.000+00:00"}
    record["manifest"]["command"] = ["train.py", f"experiment={experiment}", f"encoding={encoding}", f"seed={seed}"]
    folder.record_path.write_text(json.dumps(record, indent=2))
    folder.config_path.write_text(yaml.dump(config, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)))
    folder.history_path.write_text("".join(json.dumps(row) + "\n" for row in history))


def _history(experiment: str, encoding: str, draw: random.Random, rows: int) -> Iterator[dict[str, Any]]:
    is_language = experiment in ("alm", "blm")
    floor = 3.1 + 0.03 * ENCODINGS.index(encoding) + draw.gauss(0, 0.02)
    for step in range(1, rows * 10 // 11 + 1):
        update = step * INTERVAL
        seconds = step * 7.3 + draw.random()
        loss = floor + 6 * math.exp(-step / 20) + draw.gauss(0, 0.05)
        row = {"update": update, "tokens": update * 65_536, "split": "train", "loss": loss, "epoch": 1 + step // 40}
        row |= {"perplexity": math.exp(loss)} if is_language else {}
        row |= {
            "wall_seconds": seconds,
            "learning_rate": 5e-4 * min(step / 10, math.sqrt(10 / step)),
            "gradient_norm": 0.4 + draw.random() / 4,
            "tokens_per_second": 90_000 + 1_000 * draw.random(),
            "peak_memory_bytes": 9_000_000_000,
        }
        yield row
        if step % 10 == 0:
            valid = floor + 5.8 * math.exp(-step / 20) + draw.gauss(0, 0.01)
            row = {
                "update": update,
                "tokens": update * 65_536,
                "split": "valid",
                "loss": valid,
                "wall_seconds": seconds,
            }
            yield row | ({"perplexity": math.exp(valid)} if is_language else {"accuracy": 1.2 - valid / 8})


def _metrics(history: list[dict[str, Any]]) -> dict[str, float]:
    last = next(row for row in reversed(history) if row["split"] == "valid")
    name = "perplexity" if "perplexity" in last else "accuracy"
    return {"valid_loss": last["loss"], f"valid_{name}": last[name], f"test_{name}": last[name] * 1.01}
