"""What GLUE says of its tasks (Wang et al. 2019, table 1, and its submission format)."""

from __future__ import annotations

import math
import pickle

import pytest

from data_prep.api import TASKS
from data_prep.sentence_tasks.catalog import GLUE

# name: folder, pair, labels, metrics, rows of train, validation and test
FACTS = {
    "cola": ("CoLA", False, "0 1", "matthews", [8_551, 1_043, 1_063]),
    "sst2": ("SST-2", False, "0 1", "accuracy", [67_349, 872, 1_821]),
    "mrpc": ("MRPC", True, "0 1", "f1 accuracy", [3_668, 408, 1_725]),
    "stsb": ("STS-B", True, "", "pearson spearman", [5_749, 1_500, 1_379]),
    "qqp": ("QQP", True, "0 1", "f1 accuracy", [363_846, 40_430, 390_965]),
    "mnli": ("MNLI", True, "entailment neutral contradiction", "accuracy", [392_702, 9_815, 9_796]),
    "qnli": ("QNLI", True, "entailment not_entailment", "accuracy", [104_743, 5_463, 5_463]),
    "rte": ("RTE", True, "entailment not_entailment", "accuracy", [2_490, 277, 3_000]),
    "wnli": ("WNLI", True, "0 1", "accuracy", [635, 71, 146]),
}


@pytest.mark.parametrize("name", FACTS)
def test_facts_are_glues(name: str) -> None:
    folder, pair, labels, metrics, rows = FACTS[name]
    task = TASKS[name]
    assert (task.folder, task.pair, task.regression) == (folder, pair, not labels)
    assert (task.labels, task.metrics) == (tuple(labels.split()), tuple(metrics.split()))
    assert [task.splits[split].rows[0] for split in ("train", "valid", "test")] == rows


def test_the_nine_tasks_and_the_embedded_ones() -> None:
    assert tuple(FACTS) == GLUE
    assert set(TASKS) - set(GLUE) == {"pydoc_order", "pydoc_content"}
    assert all(TASKS[name].embedded and TASKS[name].splits["test"].labeled for name in set(TASKS) - set(GLUE))


def test_every_file_that_glues_server_expects_has_a_split() -> None:
    files = [file for name in GLUE for file in TASKS[name].submissions.values()]
    assert sorted(files) == sorted(
        ["AX.tsv", "CoLA.tsv", "MNLI-m.tsv", "MNLI-mm.tsv", "MRPC.tsv", "QNLI.tsv", "QQP.tsv", "RTE.tsv", "SST-2.tsv",
         "STS-B.tsv", "WNLI.tsv"]
    )  # fmt: skip
    assert TASKS["mnli"].test_splits == ("test", "test_mismatched", "test_diagnostic")
    assert TASKS["mnli"].submissions["test_diagnostic"] == "AX.tsv"


@pytest.mark.parametrize(
    ("name", "prediction", "written"),
    [
        ("mnli", 2, "contradiction"),
        ("qnli", 1, "not_entailment"),
        ("rte", 0, "entailment"),
        ("cola", 1, "1"),
        ("wnli", 0, "0"),
        ("stsb", 3.14159, "3.142"),
        ("stsb", -0.2, "0.000"),
        ("stsb", 7, "5.000"),
    ],
)
def test_predictions_are_written_as_the_server_reads_them(name: str, prediction: float, written: str) -> None:
    assert TASKS[name].written(prediction) == written


@pytest.mark.parametrize(("name", "prediction"), [("mnli", 3), ("mnli", -1), ("cola", 0.5), ("stsb", math.nan)])
def test_a_prediction_that_is_none_is_refused(name: str, prediction: float) -> None:
    with pytest.raises(ValueError, match=name):
        TASKS[name].written(prediction)


def test_tasks_travel_to_other_processes() -> None:
    assert pickle.loads(pickle.dumps(dict(TASKS))) == dict(TASKS)
    assert len({*TASKS.values()}) == len(TASKS)
