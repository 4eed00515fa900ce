"""Data sets: download or read, verify, prepare what the engine reads, describe. Stands alone."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from data_prep.errors import DataError
from data_prep.manifest import check, load_manifest
from data_prep.preparation import fill
from data_prep.request import Request
from data_prep.unigram import unigram_perplexity
from data_prep.workspace import exclusive, whole_folder

__all__ = ["DATASETS", "DataError", "check", "load_manifest", "prepare", "unigram_perplexity"]

# Modules by name, imported when asked for: each has RULES and corpus(Request) -> Corpus.
DATASETS = {
    "pydoc": "data_prep.pydoc",
    "pydoc_bpe": "data_prep.pydoc_bpe",
    "wikitext2": "data_prep.wikitext2",
    "wikitext2_bpe": "data_prep.wikitext2_bpe",
    "wikitext103": "data_prep.wikitext103",
    "wikitext103_bpe": "data_prep.wikitext103_bpe",
}


def prepare(
    name: str,
    out: Path | str | None = None,
    source: Path | str | None = None,
    *,
    revision: str | None = None,
    bpe: Path | str | None = None,
    train_bpe: int | None = None,
    allow_other_counts: bool = False,
    force: bool = False,
) -> Path:
    """Make sure that ``<out>/<name>`` holds the prepared data set; where it does, nothing is touched.

    The folder appears whole or not at all, whatever stops the process; two processes may call this at once.

    Args:
        name: one of :data:`DATASETS`.
        out: root of the prepared data; default: the environment's LRPE_DATA, or ``data``.
        source: folder of local files instead of the hub.
        revision: commit of the hub's data set instead of the pinned one.
        bpe: folder of BPE files (GPT-2's, or another prepared folder) instead of the hub's, for WikiText's ``*_bpe``.
        train_bpe: entries of a BPE to train on the train split instead, for WikiText's ``*_bpe``.
        allow_other_counts: accept a text without the published counts; its identity says so.
        force: prepare again.

    Returns:
        The prepared folder.

    Raises:
        ValueError: there is no such data set.
        DataError: the data cannot be had, is damaged or is not what it claims to be, or the disk refuses.
    """
    if name not in DATASETS:
        near = get_close_matches(name, DATASETS, n=1, cutoff=0.0)
        raise ValueError(f"name: {name!r} is none of {', '.join(DATASETS)}; nearest: {near[0]!r}")
    target = Path(out if out is not None else os.environ.get("LRPE_DATA", "data")) / name
    request = Request(
        source=None if source is None else Path(source),
        revision=revision,
        bpe=None if bpe is None else Path(bpe),
        train_bpe=train_bpe,
        allow_other_counts=allow_other_counts,
        force=force,
    )
    module = import_module(DATASETS[name])
    stale = _why_not(target, request, module.RULES)
    if stale is None:
        return target
    if stale:
        print(f"{name}: {stale}", file=sys.stderr)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(target):
            if _why_not(target, request, module.RULES) is not None:  # another process may have been faster
                with whole_folder(target) as folder:
                    fill(folder, name, module.corpus(request), allow_other_counts)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise DataError(f"cannot write {target}: {error.strerror or error}{place}; nothing was left behind") from error
    return target


def _why_not(target: Path, request: Request, rules: dict[str, Any]) -> str | None:
    """Why ``target`` has to be prepared: empty where that needs no word, None where it is what is asked for."""
    if request.force or not (target / "manifest.json").exists():
        return ""
    try:
        manifest = check(target)
    except DataError as error:
        return str(error)
    if manifest["rules"] != rules:
        return f"{target} was prepared by other rules and is prepared anew"
    request.refuse_other(target, manifest)
    return None
