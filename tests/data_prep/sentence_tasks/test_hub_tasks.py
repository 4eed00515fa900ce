"""The hub's copy of GLUE gives the files' data; what the hub has and GLUE does not is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest

from data_prep.api import TASKS, DataError, load_manifest, prepare_task
from data_prep.core import hub
from data_prep.sentence_tasks import hub as task_hub
from data_prep.sentence_tasks.catalog import GLUE

from .support import all_bytes, examples, prepare_small, write_task

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAMES = {
    "mnli": ["entailment", "neutral", "contradiction"],
    "qnli": ["entailment", "not_entailment"],
    "rte": ["entailment", "not_entailment"],
    "cola": ["unacceptable", "acceptable"],
}


def hub_split(name: str, labeled: bool, **columns: list[Any]) -> datasets.Dataset:
    """A split in the hub's layout: its column names, numbers of classes (-1 in test), float32 scores."""
    task = TASKS[name]
    made = examples(name, 6)
    labels = [float(label) if task.regression else task.labels.index(label) for _, label in made]
    found: dict[str, list[Any]] = {
        column: [sentences[part] for sentences, _ in made]
        for part, column in enumerate(task.hub_sentences or task.sentences)
    }
    found |= {"label": labels if labeled else [-1] * len(made), "idx": list(range(len(made)))}
    found |= columns
    label = datasets.Value("float32" if task.regression else "int64")
    if name in NAMES and all(type(value) is int and value < len(NAMES[name]) for value in found["label"]):
        label = datasets.ClassLabel(names=NAMES[name])
    features = {key: label if key == "label" else datasets.Value("string") for key in found}
    features["idx"] = datasets.Value("int32")
    split = datasets.Dataset.from_dict(found, features=datasets.Features(features))
    address = f"hf://datasets/nyu-mll/glue@{COMMIT}/{name}/train-00000-of-00001.parquet"
    split.info.download_checksums = {address: {"num_bytes": 1, "checksum": None}}
    return split


def fake_hub(monkeypatch: pytest.MonkeyPatch, **replaced: datasets.Dataset) -> list[tuple[tuple[Any, ...], Any]]:
    calls: list[tuple[tuple[Any, ...], Any]] = []

    def load_dataset(*names: str, revision: str | None) -> datasets.DatasetDict:
        calls.append((names, revision))
        name = "mnli" if names[1] == "ax" else names[1]
        splits = {
            facts.hub: replaced.get(split) or hub_split(name, facts.labeled)
            for split, facts in TASKS[name].splits.items()
            if (facts.configuration or name) == names[1]
        }
        return datasets.DatasetDict(splits)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return calls


@pytest.mark.parametrize("name", GLUE)
def test_hub_and_files_prepare_the_same_data(
    tmp_path: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write_task(tmp_path / "glue", name)
    from_files = prepare_small(tmp_path, name, tokens)
    fake_hub(monkeypatch)
    monkeypatch.setattr(task_hub, "ROWS", 4)
    from_hub = prepare_task(name, tokens, tmp_path / "hub", allow_other_counts=True)
    assert all_bytes(from_hub) == all_bytes(from_files)
    assert load_manifest(from_hub)["identity"] == load_manifest(from_files)["identity"]


def test_the_pinned_revision_is_asked_for_and_the_one_that_came_is_recorded(
    tmp_path: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = fake_hub(monkeypatch)
    source = load_manifest(prepare_task("mnli", tokens, tmp_path, allow_other_counts=True))["source"]
    prepare_task("rte", tokens, tmp_path, revision="other", allow_other_counts=True)
    assert calls == [
        (("nyu-mll/glue", "mnli"), task_hub.HUB_REVISION),
        (("nyu-mll/glue", "ax"), task_hub.HUB_REVISION),
        (("nyu-mll/glue", "rte"), "other"),
    ]
    assert len(task_hub.HUB_REVISION) == 40
    assert (source["kind"], source["id"], source["revision"]) == ("hub", "nyu-mll/glue/mnli", COMMIT)
    assert {"mnli/train", "mnli/validation_mismatched", "ax/test"} <= set(source["files"])


def test_labels_of_the_hubs_test_split_are_not_taken(
    tmp_path: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MRPC's are there: a score on them would not be GLUE's."""
    fake_hub(monkeypatch, test=hub_split("mrpc", labeled=True))
    folder = prepare_task("mrpc", tokens, tmp_path, allow_other_counts=True)
    assert not list((folder / "label").glob("test.*"))


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("rte", {"label": [0, 1, -1, 0, 1, 0]}, r"\(rte, train\), row 3: the label is missing: expected one of ent"),
        ("rte", {"label": [0, 1, 0, 2, 1, 0]}, r"\(rte, train\), row 4: the label '2' is none of entailment"),
        ("stsb", {"label": [1.0, 6.5, 1, 1, 1, 1]}, r"\(stsb, train\), row 2: the score is 6.5: expected a number"),
        ("rte", {"sentence2": ["a", "", "c", "d", "e", "f"]}, "row 2: the sentence is empty"),
        ("rte", {"sentence1": ["a", "b\nc", "c", "d", "e", "f"]}, r"row 2: '\\n' inside the sentence"),
        ("rte", {"sentence1": ["a", "b", None, "d", "e", "f"]}, "row 3: the sentence is missing"),
        ("rte", {"label": [0] * 6}, "has the label 'entailment' in every row"),
    ],
)
def test_rows_that_are_none_are_named(
    tmp_path: Path,
    tokens: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    columns: dict[str, list[Any]],
    message: str,
) -> None:
    fake_hub(monkeypatch, train=hub_split(name, labeled=True, **columns))
    with pytest.raises(DataError, match=message):
        prepare_task(name, tokens, tmp_path, allow_other_counts=True)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([0, 1, None, 3, 4, 5], "row 3: the index is missing"),
        ([0, 1, 2, 3, 4, 1], "row 6: the index '1' is that of row 2 too"),
    ],
)
def test_a_bad_index_of_the_hubs_test_split_is_refused(
    tmp_path: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch, indices: list[int | None], message: str
) -> None:
    fake_hub(monkeypatch, test=hub_split("rte", labeled=False, idx=indices))
    monkeypatch.setattr(task_hub, "ROWS", 4)
    with pytest.raises(DataError, match=rf"\(rte, test\), {message}"):
        prepare_task("rte", tokens, tmp_path, allow_other_counts=True)


def test_a_revision_with_other_columns_or_classes_is_refused(
    tmp_path: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = hub_split("rte", labeled=True).rename_column("sentence2", "hypothesis")
    fake_hub(monkeypatch, train=renamed)
    with pytest.raises(DataError, match=r"\(rte, train\) has no column 'sentence2': found sentence1, hypothesis"):
        prepare_task("rte", tokens, tmp_path, allow_other_counts=True)
    turned = datasets.ClassLabel(names=["not_entailment", "entailment"])
    fake_hub(monkeypatch, train=hub_split("rte", labeled=True).cast_column("label", turned))
    with pytest.raises(DataError, match="has the classes not_entailment, entailment; expected entailment, not_ent"):
        prepare_task("rte", tokens, tmp_path, allow_other_counts=True)


def test_hub_rows_that_are_not_glues_are_refused(tmp_path: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_hub(monkeypatch)
    with pytest.raises(DataError, match=r"nyu-mll/glue \(mnli, validation_matched\) has 6 rows .* has 9,815 in valid"):
        prepare_task("mnli", tokens, tmp_path)


def test_without_the_hub_the_message_names_the_files_to_bring(
    tmp_path: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_dataset(*names: str, revision: str | None) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(hub.HubError, match=r"\(no route\).*--source DIR, where DIR holds GLUE's own.*CoLA/train.tsv"):
        prepare_task("cola", tokens, tmp_path)
