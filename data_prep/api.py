"""Data sets: download or read, verify, prepare what the engine reads, describe. Stands alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from data_prep.catalog import DATASETS, load
from data_prep.core.errors import DataError, nearest
from data_prep.core.manifest import check, load_manifest
from data_prep.core.request import Request
from data_prep.core.workspace import exclusive, whole_folder
from data_prep.sentence_tasks.catalog import TASKS
from data_prep.sentence_tasks.task import Task
from data_prep.text.unigram import unigram_perplexity

__all__ = [
    "DATASETS",
    "TASKS",
    "DataError",
    "Task",
    "check",
    "load_manifest",
    "prepare",
    "prepare_task",
    "unigram_perplexity",
]


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
    skip_corrupt: bool = False,
    decode: bool = False,
    allow_missing_classes: bool = False,
    validate_on_train: bool = False,
    validation_labels: Path | str | None = None,
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
        skip_corrupt: of images: leave out what is no image or damaged, and say so in the manifest.
        decode: of images: decode each one to find damage; without it headers and ends are looked at.
        allow_missing_classes: of images: classes of train may be missing among the validation images.
        validate_on_train: of images: there are no validation images; training images serve for both.
        validation_labels: of ``imagenet``: classes of a flat folder of validation images.

    Returns:
        The prepared folder.

    Raises:
        ValueError: there is no such data set.
        DataError: the data cannot be had, is damaged or is not what it claims to be, or the disk refuses.
    """
    dataset = load(_known(name, DATASETS, "name"))
    request = Request(
        source=None if source is None else Path(source),
        revision=revision,
        bpe=None if bpe is None else Path(bpe),
        train_bpe=train_bpe,
        allow_other_counts=allow_other_counts,
        force=force,
        skip_corrupt=skip_corrupt,
        decode=decode,
        allow_missing_classes=allow_missing_classes,
        validate_on_train=validate_on_train,
        validation_labels=None if validation_labels is None else Path(validation_labels),
    )
    return _ensure(
        _root(out) / name,
        lambda target: _why_not(target, request, dataset.rules),
        lambda folder: dataset.corpus(request).fill(folder, name, allow_other_counts),
    )


def prepare_task(
    task: str,
    tokens: Path | str,
    out: Path | str | None = None,
    source: Path | str | None = None,
    *,
    revision: str | None = None,
    allow_other_counts: bool = False,
    force: bool = False,
) -> Path:
    """Make sure that ``<out>/glue/<name of the tokens' folder>/<task>`` holds the prepared sentence task.

    As whole, idempotent and safe against another process as :func:`prepare`.

    Args:
        task: one of :data:`TASKS`.
        tokens: prepared folder of the pretraining corpus, whose BPE or words and ``dict.txt`` tokenize the sentences.
        out: root of the prepared data; default: the environment's LRPE_DATA, or ``data``.
        source: folder that holds GLUE's own folders (``CoLA``, ...) instead of the hub.
        revision: commit of the hub's data set instead of the pinned one.
        allow_other_counts: accept rows that are not the official ones, and missing test splits; the identity says so.
        force: prepare again.

    Returns:
        The prepared folder, in the layout of fairseq's ``sentence_prediction`` task.

    Raises:
        ValueError: there is no such task.
        DataError: the data or the tokens cannot be had, are damaged or not what they claim to be, or the disk refuses.
    """
    facts = TASKS[_known(task, TASKS, "task")]
    from data_prep.sentence_tasks.preparation import fill_task, rules_for
    from data_prep.sentence_tasks.source import open_source
    from data_prep.text.tokens import load_tokens

    vocabulary = load_tokens(tokens)
    request = Request(
        source=None if source is None else Path(source),
        revision=revision,
        allow_other_counts=allow_other_counts,
        force=force,
    )
    return _ensure(
        _root(out) / "glue" / Path(os.path.abspath(tokens)).name / task,
        lambda target: _why_not(target, request, rules_for(facts, vocabulary), vocabulary.identity),
        lambda folder: fill_task(folder, facts, vocabulary, open_source(facts, request), allow_other_counts),
    )


def _known(name: str, names: Mapping[str, Any], what: str) -> str:
    if name not in names:
        raise ValueError(f"{what}: {name!r} is none of {', '.join(names)}{nearest(name, names)}")
    return name


def _root(out: Path | str | None) -> Path:
    return Path(out if out is not None else os.environ.get("LRPE_DATA", "data")).expanduser()


def _ensure(target: Path, why_not: Callable[[Path], str | None], fill_in: Callable[[Path], object]) -> Path:
    """Fill ``target``, whole or not at all, unless it is what is asked for already."""
    stale = why_not(target)
    if stale is None:
        return target
    if stale:
        print(f"{target.name}: {stale}", file=sys.stderr)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(target):
            if why_not(target) is not None:  # another process may have been faster
                with whole_folder(target) as folder:
                    fill_in(folder)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise DataError(f"cannot write {target}: {error.strerror or error}{place}; nothing was left behind") from error
    return target


def _why_not(target: Path, request: Request, rules: Mapping[str, Any], tokens: str | None = None) -> str | None:
    """Why ``target`` has to be prepared: empty where that needs no word, None where it is what is asked for."""
    if request.force or not (target / "manifest.json").exists():
        return ""
    try:
        manifest = check(target)
    except DataError as error:
        return str(error)
    if manifest["rules"] != rules:
        return f"{target} was prepared by other rules and is prepared anew"
    if manifest.get("tokens", {}).get("identity") != tokens:
        return f"{target} was tokenized by another vocabulary and is prepared anew"
    request.refuse_other(target, manifest)
    return None
