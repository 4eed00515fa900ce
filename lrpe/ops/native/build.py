"""The shared library: compiled at first use by the system's C compiler, and kept in the user's cache folder."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shlex
import subprocess
import tempfile
from pathlib import Path

import torch

SOURCE = Path(__file__).with_name("rotate.c")
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")
DEFINITIONS = {torch.float32: ("-DREAL=float",), torch.float64: ("-DREAL=double", "-DDOUBLE")}
REMEDY = (
    "install a C compiler such as Debian's build-essential or name one in CC, "
    "and let XDG_CACHE_HOME be a folder that can be written to"
)
LONGEST_COMPILATION = 120  # seconds; it takes about two

logger = logging.getLogger(__name__)


class CannotBuildError(RuntimeError):
    """There is no native code on this machine; the message says why and what helps."""


def load(dtype: torch.dtype) -> ctypes.CDLL:
    """The functions ``turn`` and ``rotate_backward`` of ``rotate.c`` for float32 or float64.

    Raises:
        CannotBuildError: no compiler, one that fails, or a cache folder that cannot be written.
    """
    built = _build(dtype)
    if isinstance(built, CannotBuildError):
        raise built
    return built


def is_available(dtype: torch.dtype) -> bool:
    """Whether :func:`load` succeeds; the first failure is told to the log, later ones are not."""
    return dtype in DEFINITIONS and not isinstance(_build(dtype), CannotBuildError)


def _build(dtype: torch.dtype) -> ctypes.CDLL | CannotBuildError:
    return _build_once(dtype, os.environ.get("CC") or "cc", os.environ.get("XDG_CACHE_HOME") or "~/.cache")


@functools.cache
def _build_once(dtype: torch.dtype, compiler: str, cache: str) -> ctypes.CDLL | CannotBuildError:
    try:
        library = ctypes.CDLL(str(_compile(dtype, shlex.split(compiler), Path(cache).expanduser() / "lrpe")))
    except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        output = getattr(error, "stderr", None) or ""
        reason = " ".join(f"{error} {output}".split())[:500]
        logger.warning("LRPE encodes with PyTorch's operators, native code cannot be built: %s (%s)", reason, REMEDY)
        return CannotBuildError(f"native code cannot be built: {reason}; {REMEDY}")
    for function in (library.turn, library.rotate_backward):
        function.argtypes, function.restype = (ctypes.c_void_p,), None
    return library


def _compile(dtype: torch.dtype, compiler: list[str], folder: Path) -> Path:
    """The library's file; its name says all that determines its content, so that machines may share the folder."""
    flags = (*FLAGS, *DEFINITIONS[dtype])
    parts = (SOURCE.read_text(encoding="utf-8"), _run(*compiler, "--version"), *compiler, *flags, _processor())
    library = folder / f"turn-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:20]}.so"
    if library.exists():
        return library
    folder.mkdir(parents=True, exist_ok=True)
    # Several processes may compile at once: each its own file, and renaming one over another's is harmless.
    with tempfile.TemporaryDirectory(dir=folder) as workspace:
        output = Path(workspace) / library.name
        _run(*compiler, *flags, str(SOURCE), "-o", str(output))
        output.replace(library)
    return library


def _run(*command: str) -> str:
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=LONGEST_COMPILATION, stdin=subprocess.DEVNULL
    ).stdout


def _processor() -> str:
    """What ``-march=native`` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    named = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(named)}))
