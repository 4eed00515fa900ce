"""Tiny copies of GLUE's own folders, and corpora whose vocabulary tokenizes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_prep.api import TASKS, prepare, prepare_task
from data_prep.text.dictionary import Dictionary
from data_prep.text.indexed_writer import read_tokens
from tests.data_prep.support import write_source

SENTENCES = ("the cat sat", 'a "quoted" word', "the dog ran far", "the cat ran")
# GLUE's other columns, which say nothing to us.
HEADERS = {
    "cola": (None, "index\tsentence"),
    "sst2": ("sentence\tlabel", "index\tsentence"),
    "mrpc": ("Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", "index\t#1 ID\t#2 ID\t#1 String\t#2 String"),
    "stsb": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2",
    ),
    "qqp": ("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "id\tquestion1\tquestion2"),
    "mnli": (
        "index\tpromptID\tpairID\tgenre\tsentence1\tsentence2\tlabel1\tgold_label",
        "index\tpromptID\tpairID\tgenre\tsentence1\tsentence2",
    ),
    "qnli": ("index\tquestion\tsentence\tlabel", "index\tquestion\tsentence"),
    "rte": ("index\tsentence1\tsentence2\tlabel", "index\tsentence1\tsentence2"),
    "wnli": ("index\tsentence1\tsentence2\tlabel", "index\tsentence1\tsentence2"),
}


def row(name: str, split: str, index: int, sentences: Sequence[str], label: str) -> str:
    """One line of GLUE's own file."""
    task = TASKS[name]
    values = {"index": str(index), "id": str(index), task.label: label}
    values.update(zip(task.sentences, sentences, strict=True))
    header = HEADERS[name][0 if task.splits[split].labeled else 1] if split != "test_diagnostic" else HEADERS["rte"][1]
    columns = "source\tlabel\tannotation\tsentence" if header is None else header
    return "\t".join(values.get(column, "_") for column in columns.split("\t")) + "\n"


def examples(name: str, rows: int) -> list[tuple[tuple[str, ...], str]]:
    """Sentences and labels that go through all of the task's labels."""
    task = TASKS[name]
    labels = task.labels or ("0.000", "3.571", "5.000")
    return [
        (
            tuple(SENTENCES[(at + part) % len(SENTENCES)] for part in range(len(task.sentences))),
            labels[at % len(labels)],
        )
        for at in range(rows)
    ]


def write_task(folder: Path, name: str, rows: int = 6, **texts: str | bytes) -> Path:
    """GLUE's folder of one task; ``texts`` replace whole files, by split."""
    for split, facts in TASKS[name].splits.items():
        header = HEADERS[name][0 if facts.labeled else 1] if split != "test_diagnostic" else HEADERS["rte"][1]
        lines = [row(name, split, at, *example) for at, example in enumerate(examples(name, rows))]
        text = texts.get(split, "".join([f"{header}\n" if header else "", *lines]))
        path = folder / facts.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def word_tokens(folder: Path) -> Path:
    """A prepared corpus of words that knows most of the sentences."""
    source = write_source(folder / "source", train="\n".join(SENTENCES) * 2 + "\n", valid="a\n", test="a\n")
    return prepare("wikitext2", folder, source, allow_other_counts=True)


def prepare_small(tmp_path: Path, name: str, tokens: Path, **options: object) -> Path:
    """Prepare a task from the tiny folder ``tmp_path/glue``, whose counts are not GLUE's."""
    source = tmp_path / "glue"
    return prepare_task(name, tokens, tmp_path / "out", source, **{"allow_other_counts": True, **options})


def lines_of(prefix: Path, dictionary: Path) -> list[str]:
    """The lines of a prepared split as text, ``</s>`` included."""
    ids, sizes = read_tokens(prefix)
    symbols = ["<s>", "<pad>", "</s>", "<unk>", *(word for word, _ in Dictionary.load(dictionary).entries)]
    words = iter(symbols[number] for number in ids.tolist())
    return [" ".join(next(words) for _ in range(size)) for size in sizes.tolist()]


def all_bytes(folder: Path) -> dict[str, bytes]:
    """Content of every prepared file below ``folder``; the manifest, which holds the time, left out."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "manifest.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
