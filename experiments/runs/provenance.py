"""Where a run came from: code, versions, data, hardware, command line. Nothing secret enters."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from experiments.runs.records import now
from experiments.util.hardware import _output, hardware
from experiments.util.secrets import mask_command, mask_config

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "lrpe", "torch", "triton", "numpy", "fairseq", "fairseq-fixed", "hydra-core", "omegaconf",
    "hydra-submitit-launcher", "submitit", "datasets", "tokenizers", "sacrebleu", "scikit-learn", "scipy", "timm",
    "torchvision", "wandb",
)  # fmt: skip
ENVIRONMENT = (
    "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "SLURM_STEP_NUM_TASKS", "WORLD_SIZE", "RANK",
    "HF_HUB_OFFLINE", "WANDB_MODE", "PYTHONHASHSEED", "LRPE_BACKEND",
)  # fmt: skip
NOT_GUARANTEED = (
    "Bit-identical results are promised for the same CPU model, thread count and package versions only. On a GPU, "
    "on other hardware or with other versions the order of floating-point sums differs: expect the same curve "
    "within the spread of seeds, not the same digits."
)


def build_manifest(
    config: Mapping[str, Any], data_manifest: Mapping[str, Any] | None, argv: Sequence[str]
) -> dict[str, Any]:
    """The provenance of a run, as plain data for ``record.json``."""
    return {
        "created": now(),
        "command": mask_command(argv),
        "git": git_state(ROOT),
        "python": platform.python_version(),
        "packages": package_versions(),
        "platform": platform.platform(),
        "hardware": hardware(),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        "data": _data(config, data_manifest),
        "precision": (config.get("recipe") or {}).get("precision"),
        "not_guaranteed": NOT_GUARANTEED,
    }


def git_state(root: Path) -> dict[str, Any]:
    """Commit and whether the working tree differs from it; both None where ``root`` is not a checkout itself."""
    top = _output("git", "-C", str(root), "rev-parse", "--show-toplevel")
    # A package installed below another project's checkout is no part of that project.
    if top is None or Path(top).resolve() != root.resolve():
        return {"commit": None, "dirty": None}
    status = _output("git", "-C", str(root), "status", "--porcelain")
    commit = _output("git", "-C", str(root), "rev-parse", "--verify", "--quiet", "HEAD")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def package_versions() -> dict[str, str]:
    """The installed ones of the packages that can change a result or a record."""
    versions: dict[str, str] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _data(config: Mapping[str, Any], manifest: Mapping[str, Any] | None) -> dict[str, Any]:
    name = (config.get("data") or {}).get("name")
    if manifest is None:
        return {"name": name, "identity": None, "files": {}, "source": None}
    source = manifest.get("source")
    return {
        "name": manifest.get("name", name),
        "identity": manifest.get("identity"),
        "files": manifest.get("files", {}),
        "source": mask_config(source),
    }
