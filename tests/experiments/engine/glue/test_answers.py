"""Answers to a task's test set in GLUE's format, and the zip that its site takes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from data_prep.api import TASKS
from data_prep.core.manifest import write_manifest
from experiments.engine.families.glue.answers import write_answers
from experiments.engine.families.glue.prediction import predict
from experiments.submission import collect
from experiments.util.errors import UserError
from tests.experiments.conftest import TINY_GLUE, only_run, run_module
from tests.experiments.engine.glue.support import ENCODING, TASK_ROWS


def test_the_answers_are_in_glue_s_format(results: Path, data: Path) -> None:
    lines = (only_run(results, "glue") / "predictions" / "RTE.tsv").read_text().splitlines()
    assert lines[0] == "index\tprediction"
    assert [line.split("\t")[0] for line in lines[1:]] == [str(row) for row in range(TASK_ROWS["test"])]
    assert {line.split("\t")[1] for line in lines[1:]} <= {"entailment", "not_entailment"}


@pytest.mark.usefixtures("_places")
def test_numbers_of_classes_are_in_glue_s_order(results: Path) -> None:
    tuned = only_run(results, "glue")
    found = predict(tuned / "checkpoints" / "checkpoint_best.pt", "valid")
    assert found.target is not None
    assert found.target.tolist() == [row % 2 for row in range(TASK_ROWS["dev"])], "0 is entailment, the even rows"
    test = predict(tuned / "checkpoints" / "checkpoint_best.pt", "test")
    written = (tuned / "predictions" / "RTE.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[1] for line in written] == [TASKS["rte"].labels[answer] for answer in test.answer]
    assert test.target is None


@pytest.mark.usefixtures("_places")
def test_answers_do_not_depend_on_what_they_are_batched_with(results: Path) -> None:
    path = only_run(results, "glue") / "checkpoints" / "checkpoint_best.pt"
    alone, together = (predict(path, "valid", sentences=size) for size in (1, 12))
    assert alone.answer.tolist() == together.answer.tolist()
    assert alone.loss == pytest.approx(together.loss, rel=1e-5)


@pytest.mark.usefixtures("_places")
def test_the_zip_that_glue_takes(results: Path, data: Path, tmp_path: Path) -> None:
    words = [word for word in TINY_GLUE if word != "experiment=glue"] + [ENCODING]
    with pytest.raises(UserError, match="data_prep.glue --task sst2"):
        collect(words, partial=True)
    tables = data / "glue" / "wikitext2"
    for task in TASKS:
        if not TASKS[task].embedded and not (tables / task).exists():
            (tables / task).mkdir()
            write_manifest(tables / task, {"schema": 1, "identity": task, "files": {}, "splits": {}})
    try:
        with pytest.raises(UserError, match="MNLI-m.tsv: python -m experiments.train experiment=glue"):
            collect(words, partial=False)
        out = tmp_path / "answers.zip"
        run_module("experiments.submission", data, results, *words, "partial=true", f"out={out}")
    finally:
        for task in TASKS:
            manifest = tables / task / "manifest.json"
            if manifest.exists() and len(list(manifest.parent.iterdir())) == 1:
                manifest.unlink()
                manifest.parent.rmdir()
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == ["RTE.tsv"]
        assert archive.read("RTE.tsv").decode().startswith("index\tprediction\n0\t")


def test_answers_that_are_not_the_data_s_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="9 rows"):
        write_answers(tmp_path, TASKS["rte"], "test", data / "glue" / "wikitext2" / "rte", np.zeros(8, dtype=int))
