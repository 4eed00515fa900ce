"""Losses that the presets must reach at fixed updates, so that a wrong run is seen early.

``results/expected/<experiment>_<profile>.yaml`` holds, for each encoding, losses of a finished run and where it ran. A
run of the same identity is compared while it trains. The file is written from records:

    python -m experiments.runs expected experiment=alm profile=demo
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from experiments.runs.store import scan
from experiments.util.console import say
from experiments.util.errors import UserError
from experiments.util.files import write_atomically

FOLDER = Path(__file__).resolve().parents[2] / "results" / "expected"
TOLERANCE = 0.05  # nats: other processors and thread counts sum in another order; a wrong run is off by far more
LOOSE_TOLERANCE = 0.35  # nats, where the text itself differs a little: another Python version's documentation


@dataclass
class Arguments:
    experiment: str = "alm"
    profile: str = "demo"
    results: str = field(default_factory=lambda: os.environ.get("LRPE_RESULTS", "results"))


def load_expected(experiment: str, profile: str) -> dict[str, Any]:
    """The content of the file: ``data`` (identity) and ``encodings`` (identity, seed, ``train`` and ``valid`` losses by
    update); empty where there is none."""
    path = FOLDER / f"{experiment}_{profile}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


class Watch:
    """Compares a run's rows with the expected ones of the same identity; silent for every other run."""

    def __init__(self, config: Any, identity: str) -> None:
        entry = load_expected(config.experiment.name, config.profile.name).get("encodings", {})
        entry = entry.get(config.encoding.label, {})
        self._losses: Mapping[str, Mapping[int, float]] = {}
        if entry.get("identity") == identity and entry.get("seed") == config.seed:
            self._losses = {split: entry[split] for split in ("train", "valid")}

    def warning(self, row: Mapping[str, Any]) -> str | None:
        """What is wrong with a row, or None."""
        expected = self._losses.get(row["split"], {}).get(row["update"])
        if expected is None or abs(row["loss"] - expected) <= TOLERANCE:
            return None
        return (
            f"{row['split']} loss {row['loss']:.3f} at update {row['update']}, but results/expected has {expected:.3f} "
            f"for this very config (tolerance {TOLERANCE}): this installation computes something else"
        )


def write_expected(experiment: str, profile: str, results: Path) -> Path:
    """Write the file from the finished runs of seed 1 of one protocol, ``controlled``.

    Raises:
        UserError: there are none.
    """
    encodings: dict[str, Any] = {}
    data = hardware = None
    for stored in scan(results, experiment):
        record = stored.record
        if record is None or not record.finished:
            continue
        run = record["run"]
        if (run["profile"], run["protocol"], run["seed"]) != (profile, "controlled", 1):
            continue
        rows = stored.files.history()
        losses = {
            split: {row["update"]: round(row["loss"], 4) for row in rows if row["split"] == split}
            for split in ("train", "valid")
        }
        # all validations, and the training loss at the first ten log intervals and every tenth after them
        kept = sorted(losses["train"])
        losses["train"] = {update: losses["train"][update] for update in [*kept[:10], *kept[19::10]]}
        encodings[run["encoding"]] = {"identity": run["identity"], "seed": 1, **losses}
        manifest = record["manifest"]
        data = {key: manifest["data"][key] for key in ("name", "identity")}
        hardware = {
            "cpu": manifest["hardware"]["cpu"],
            "cores": manifest["hardware"]["cores"],
            "python": manifest["python"],
            "torch": manifest["packages"]["torch"],
            "commit": manifest["git"]["commit"],
        }
    if not encodings:
        raise UserError(f"no finished run of {experiment}, profile {profile}, seed 1, controlled, below {results}")
    path = FOLDER / f"{experiment}_{profile}.yaml"
    head = "# Losses (nats per token) of runs made here. Written by: python -m experiments.runs expected\n"
    content = {"data": data, "made_on": hardware, "encodings": encodings}
    write_atomically(path, head + yaml.safe_dump(content, sort_keys=False))
    return path


def write(arguments: Arguments, console: Console) -> int:
    """``python -m experiments.runs expected``: write the file and say where it lies."""
    say(console, str(write_expected(arguments.experiment, arguments.profile, Path(arguments.results))))
    return 0
