"""GLUE's nine tasks (Wang et al. 2019, arXiv 1804.07461) and two from the embedded text.

Rows are those of GLUE's tables and of the hub's copy. Labels stand in GLUE's own order (its class numbers where it has
numbers, the order of its documentation where it has names), not by frequency: number 0 is the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from data_prep.sentence_tasks.task import Split, Task

BINARY = ("0", "1")
ENTAILMENT = ("entailment", "not_entailment")
NO_HEADER = ("source", "label", "annotation", "sentence")


def _glue(name: str, folder: str, rows: tuple[int | tuple[int, ...], int, int], **facts: Any) -> Task:
    """A task of one validation and one test split."""
    train, valid, test = ((count,) if isinstance(count, int) else count for count in rows)
    columns = NO_HEADER if name == "cola" else None
    splits = {
        "train": Split(f"{folder}/train.tsv", "train", train, columns),
        "valid": Split(f"{folder}/dev.tsv", "validation", valid, columns),
        "test": Split(f"{folder}/test.tsv", "test", test, labeled=False, submission=f"{folder}.tsv"),
    }
    return Task(name, folder, splits=splits, **facts)


MNLI = {
    "train": Split("MNLI/train.tsv", "train", (392_702,)),
    "valid": Split("MNLI/dev_matched.tsv", "validation_matched", (9_815,)),
    "valid_mismatched": Split("MNLI/dev_mismatched.tsv", "validation_mismatched", (9_832,)),
    "test": Split("MNLI/test_matched.tsv", "test_matched", (9_796,), labeled=False, submission="MNLI-m.tsv"),
    "test_mismatched": Split(
        "MNLI/test_mismatched.tsv", "test_mismatched", (9_847,), labeled=False, submission="MNLI-mm.tsv"
    ),
    "test_diagnostic": Split(
        "diagnostic/diagnostic.tsv",
        "test",
        (1_104,),
        labeled=False,
        submission="AX.tsv",
        configuration="ax",
        optional=True,
    ),
}
QQP_TRAIN = (363_846, 363_849)  # the hub's, and that of other readers of the same file with its broken lines


def _embedded(name: str) -> Task:
    """A task from the standard library's prose, in files where ``--write-tsv`` puts them."""
    files = {"train": "train.tsv", "valid": "dev.tsv", "test": "test.tsv"}
    splits = {split: Split(f"{name}/{file}") for split, file in files.items()}
    return Task(name, name, BINARY, ("accuracy",), ("sentence",), "label", splits, embedded=True)


_ALL = (
    _glue("cola", "CoLA", (8_551, 1_043, 1_063),
          labels=BINARY, metrics=("matthews",), sentences=("sentence",), label="label"),
    _glue("sst2", "SST-2", (67_349, 872, 1_821),
          labels=BINARY, metrics=("accuracy",), sentences=("sentence",), label="label"),
    _glue("mrpc", "MRPC", (3_668, 408, 1_725),
          labels=BINARY, metrics=("f1", "accuracy"), sentences=("#1 String", "#2 String"), label="Quality",
          hub_sentences=("sentence1", "sentence2")),
    _glue("stsb", "STS-B", (5_749, 1_500, 1_379),
          labels=(), metrics=("pearson", "spearman"), sentences=("sentence1", "sentence2"), label="score"),
    _glue("qqp", "QQP", (QQP_TRAIN, 40_430, 390_965),
          labels=BINARY, metrics=("f1", "accuracy"), sentences=("question1", "question2"), label="is_duplicate",
          irregular=True),
    Task("mnli", "MNLI", ("entailment", "neutral", "contradiction"), ("accuracy",),
         sentences=("sentence1", "sentence2"), label="gold_label",
         hub_sentences=("premise", "hypothesis"), splits=MNLI),
    _glue("qnli", "QNLI", (104_743, 5_463, 5_463),
          labels=ENTAILMENT, metrics=("accuracy",), sentences=("question", "sentence"), label="label"),
    _glue("rte", "RTE", (2_490, 277, 3_000),
          labels=ENTAILMENT, metrics=("accuracy",), sentences=("sentence1", "sentence2"), label="label"),
    _glue("wnli", "WNLI", (635, 71, 146),
          labels=BINARY, metrics=("accuracy",), sentences=("sentence1", "sentence2"), label="label"),
    _embedded("pydoc_order"),
    _embedded("pydoc_content"),
)  # fmt: skip

TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in _ALL})
GLUE = tuple(name for name, task in TASKS.items() if not task.embedded)
