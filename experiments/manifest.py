"""Where a run came from: code, versions, data, hardware, command line. Nothing secret enters."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from experiments.records import now

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "lrpe", "torch", "triton", "numpy", "fairseq", "fairseq-fixed", "hydra-core", "omegaconf",
    "hydra-submitit-launcher", "submitit", "datasets", "tokenizers", "sacrebleu", "scikit-learn", "scipy", "timm",
    "torchvision", "wandb",
)  # fmt: skip
ENVIRONMENT = (
    "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "WORLD_SIZE", "RANK", "HF_HUB_OFFLINE", "WANDB_MODE",
    "PYTHONHASHSEED", "LRPE_BACKEND",
)  # fmt: skip
NOT_GUARANTEED = (
    "Bit-identical results are promised for the same CPU model, thread count and package versions only. On a GPU, "
    "on other hardware or with other versions the order of floating-point sums differs: expect the same curve "
    "within the spread of seeds, not the same digits."
)
MASK = "***"

_SECRET_WORDS = r"(?:api[-_]?key|key|token|password|passwd|secret|credentials?)"
_SECRET_NAME = re.compile(rf"^(?:.*[-_.+~])?{_SECRET_WORDS}$", re.IGNORECASE)
_INSIDE = re.compile(
    rf"""((?<![a-z]){_SECRET_WORDS}["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,}}&]+)""",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
_KNOWN_SHAPES = re.compile(r"\b(?:hf_|gh[pousr]_|github_pat_|sk-|wandb_v\d_)[A-Za-z0-9_-]{16,}")


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


def mask_command(argv: Sequence[str]) -> list[str]:
    """The command line with the values of everything that is named like a secret, or looks like one, replaced."""
    masked: list[str] = []
    hide_next = False
    for argument in argv:
        name, equals, _ = argument.partition("=")
        if hide_next:
            masked.append(MASK)
        elif equals and is_secret_name(name):
            masked.append(f"{name}={MASK}")
        else:
            masked.append(mask_text(argument))
        hide_next = not hide_next and not equals and argument.startswith("-") and is_secret_name(argument)
    return masked


def mask_text(text: str) -> str:
    """Free text with ``key: value`` pairs of secrets, passwords in addresses and well-known tokens replaced."""
    text = _INSIDE.sub(rf"\1{MASK}", text)
    text = _LOGIN.sub(rf"\1{MASK}@", text)
    return _KNOWN_SHAPES.sub(MASK, text)


def mask_config(config: Any) -> Any:
    """Plain config data with the values under secret names replaced, for sending to a tracker."""
    if isinstance(config, Mapping):
        return {
            key: MASK if value is not None and is_secret_name(str(key)) else mask_config(value)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return [mask_config(item) for item in config]
    return mask_text(config) if isinstance(config, str) else config


def is_secret_name(name: str) -> bool:
    """True for ``api_key``, ``hub.token``, ``--password``; not for ``tokens_per_sample`` or ``monkey``."""
    return _SECRET_NAME.match(name) is not None


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


def hardware() -> dict[str, Any]:
    """Processor, cores, memory and the names of the GPUs."""
    return {
        "cpu": cpu_model(),
        "cores": available_cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": gpu_names(),
    }


def cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def available_cores() -> int:
    """Those this process may use, which in a SLURM job are fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpu_names() -> list[str]:
    """One name a GPU, by ``nvidia-smi``; empty where there is none."""
    listed = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return [line.strip() for line in (listed or "").splitlines() if line.strip()]


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


def _output(*command: str) -> str | None:
    """What a command prints, or None where it is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        if isinstance(error, subprocess.TimeoutExpired):
            print(f"warning: {command[0]} did not answer; its part of the manifest stays empty", file=sys.stderr)
        return None
    return done.stdout.strip()
