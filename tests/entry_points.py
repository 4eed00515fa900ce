"""Entry points run as a user runs them, in children of one process that has imported the slow packages once.

``python -m module words...`` spends seconds of a core on the imports of torch and fairseq; a child forked from a
process that has them starts at once. It runs the same module as ``__main__``, with an environment, folder, output and
exit code of its own.
"""

from __future__ import annotations

import atexit
import io
import logging
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# What the commands import; not the commands, which run as __main__.
PRELOADED = [
    *("experiments.engine.session", "experiments.engine.families", "experiments.launch.sweep"),
    *("experiments.launch.submitit_jobs", "experiments.tables.plan", "experiments.config"),
]
# Read when the interpreter or a preloaded package starts.
READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "OMP_", "MKL_", "HF_", "WANDB_", "CUDA_", "TRITON_", "KMP_")


def run(
    module: str, words: Sequence[str], folder: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """``python -m module words...`` in ``folder`` under ``env``; its exit code, standard output and standard error.

    A new interpreter runs it where ``env`` changes what an interpreter or a preloaded package reads when it starts.

    Raises:
        subprocess.TimeoutExpired: it took more than ``timeout`` seconds, and was killed.
    """
    command = [sys.executable, "-m", module, *words]
    changed = {key for key in {*env, *os.environ} if env.get(key) != os.environ.get(key)}
    if any(key.startswith(READ_AT_START) for key in changed):
        return subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=timeout
        )
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with tempfile.TemporaryDirectory() as place:
        outputs = [Path(place) / name for name in ("stdout", "stderr")]
        child = context.Process(target=_main, args=(module, list(words), str(folder), dict(env), *map(str, outputs)))
        child.start()
        child.join(timeout)
        if child.exitcode is None:
            child.kill()
            child.join()
            raise subprocess.TimeoutExpired(command, timeout, *(path.read_bytes() for path in outputs))
        out, error = (path.read_text(encoding="utf-8") if path.exists() else "" for path in outputs)
    return subprocess.CompletedProcess(command, child.exitcode, out, error)


def _main(module: str, words: list[str], folder: str, env: dict[str, str], out: str, error: str) -> None:
    os.setpgid(0, 0)
    multiprocessing.set_start_method(None, force=True)  # the platform's, as in a new interpreter
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    for number, path in ((0, os.devnull), (1, out), (2, error)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(
        io.FileIO(2, "w", closefd=False), encoding="utf-8", errors="backslashreplace", write_through=True
    )
    if "" not in sys.path:
        sys.path.insert(0, "")
    logging.root.handlers.clear()  # a preloaded package's own set-up, which a new interpreter has not yet seen
    logging.root.setLevel(logging.WARNING)
    sys.modules.pop(module, None)  # another test's preloading may have imported the command
    sys.argv = [module, *words]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
