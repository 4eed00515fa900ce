"""Finished runs that differ from a new one in their length alone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.runs.records import RunFolder
from experiments.runs.store import run_folders
from experiments.util.errors import UserError
from experiments.util.plain_yaml import read_mapping

LENGTHS = ("max_update", "epochs")
SEPARATE = ("seed", "experiment", "encoding", "attention", "protocol", "model", "data", "task")


def shorter_runs(folder: Path, config: Mapping[str, Any]) -> list[Path]:
    """Folders of finished runs beside ``folder`` whose config differs in the lengths of the recipe alone.

    Args:
        folder: of a run that is about to start.
        config: its config as plain data.
    """
    found = []
    experiment, results = folder.parents[1].name, folder.parents[3]
    for other in run_folders(results, experiment):
        if other == folder or other.name != folder.name or not (other / "config.yaml").is_file():
            continue
        try:
            theirs, record = read_mapping(other / "config.yaml"), RunFolder(other).load()
        except UserError:  # of another run's folder, which is none of this run's concern
            continue
        if record is not None and record.finished and _comparable(theirs) == _comparable(config):
            found.append(other)
    return found


def note(folder: Path, config: Mapping[str, Any]) -> str:
    """What to say before a run starts that is a finished one with another length; empty where there is none."""
    lines = []
    for other in shorter_runs(folder, config):
        last = other / "checkpoints" / "checkpoint_last.pt"
        lines.append(f"note: {other} is finished and differs in the recipe's length alone; this is another run")
        if last.is_file():
            target = folder / "checkpoints"
            lines.append(
                f"  to continue from its weights, stop this run, then: rm -rf {shlex.quote(str(target))}; "
                f"mkdir -p {shlex.quote(str(target))}; cp {shlex.quote(str(last))} {shlex.quote(str(target))}/  "
                "and the same command; its learning rate then follows the new length from there on"
            )
    return "\n".join(lines)


def _comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {key: config.get(key) for key in SEPARATE}
    recipe = {key: value for key, value in (config.get("recipe") or {}).items() if key not in LENGTHS}
    return {**chosen, "recipe": recipe}
