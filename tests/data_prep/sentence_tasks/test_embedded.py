"""The embedded tasks: one that word order decides and one that words decide, from text that nobody trained on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from data_prep.api import TASKS, DataError, load_manifest, prepare_task
from data_prep.sentence_tasks.embedded import (
    EmbeddedExamples,
    content_examples,
    library_sentences,
    order_examples,
    shuffle_locally,
)
from data_prep.text.bpe import load_encoder
from data_prep.text.pydoc import EmbeddedText, split_of
from data_prep.text.standard_library import Document, library_documents
from data_prep.text.text_source import SPLITS
from tests.data_prep.support import ROOT

from .support import all_bytes, lines_of

Documents = list[tuple[str, tuple[Document, ...]]]
Rows = dict[str, list[tuple[str, str]]]


@pytest.fixture(scope="module")
def documents() -> Documents:
    return list(library_documents())


@pytest.fixture(scope="module")
def order(documents: Documents) -> Rows:
    return {split: order_examples(found) for split, found in library_sentences(documents).items()}


@pytest.fixture(scope="module")
def content(documents: Documents) -> Rows:
    return {split: content_examples(found) for split, found in library_sentences(documents).items()}


def accuracy(rows: Rows, split: str, ngrams: int) -> float:
    """Of logistic regression on bags of words, or of up to so many words in sequence."""
    count = CountVectorizer(token_pattern=r"\S+", ngram_range=(1, ngrams), min_df=2)
    features = count.fit_transform([sentence for sentence, _ in rows["train"]])
    model = LogisticRegression(C=0.3, max_iter=300).fit(features, [label for _, label in rows["train"]])
    held_out = rows[split]
    return model.score(count.transform([sentence for sentence, _ in held_out]), [label for _, label in held_out])


def test_a_bag_of_words_cannot_tell_the_order_and_neighbors_can(order: Rows) -> None:
    for split in ("valid", "test"):
        assert 0.45 < accuracy(order, split, ngrams=1) < 0.55
        assert accuracy(order, split, ngrams=2) > 0.8


def test_a_bag_of_words_tells_the_content(content: Rows) -> None:
    assert accuracy(content, "valid", ngrams=1) > 0.8
    assert accuracy(content, "test", ngrams=1) > 0.75


def test_sizes_and_balance(order: Rows, content: Rows) -> None:
    for rows, train in ((order, 10_000), (content, 5_000)):
        assert len(rows["train"]) > train
        assert len(rows["valid"]) > 500
        assert len(rows["test"]) > 400
        for examples in rows.values():
            assert set(Counter(label for _, label in examples).values()) == {len(examples) // 2}


def test_no_sentence_is_used_twice(order: Rows, content: Rows) -> None:
    """In any two splits, nor once as it is and once shuffled."""
    for rows in (order, content):
        counts = Counter(sentence for examples in rows.values() for sentence, _ in examples)
        assert counts.most_common(1)[0][1] == 1
    examples = [example for found in order.values() for example in found]
    would_be = {" ".join(shuffle_locally(sentence.split())) for sentence, label in examples if label == "1"}
    assert would_be.isdisjoint(sentence for sentence, label in examples if label == "0")


def test_held_out_sentences_are_in_no_text_that_anything_trains_on(documents: Documents, order: Rows) -> None:
    texts = [(module, [document.text for document in found]) for module, found in documents]
    pretraining = {line for block in EmbeddedText(texts).blocks("train") for line in block}
    trained = {sentence for line in pretraining for sentence in whole_sentences(line)}
    for split in ("valid", "test"):
        originals = {sentence for sentence, label in order[split] if label == "1"}
        assert not originals & trained


def whole_sentences(line: str) -> list[str]:
    found: list[list[str]] = [[]]
    for word in line.split():
        found[-1].append(word)
        if word in (".", "?", "!"):
            found.append([])
    return [" ".join(words) for words in found]


def test_sentences_of_a_module_are_in_its_split_alone() -> None:
    assert [split_of(module) for module in ("argparse", "threading", "typing")] == ["train", "valid", "test"]
    shared = Document("class", "A sentence that all of them have.")
    found = library_sentences(
        [
            ("typing", [shared, Document("function", "Return the type. And more of it.")]),
            ("threading", [shared, Document("module", "Threads are here.")]),
            ("argparse", [shared]),
        ]
    )
    assert {split: [" ".join(sentence.words) for sentence in found[split]] for split in SPLITS} == {
        "train": ["a sentence that all of them have ."],
        "valid": ["threads are here ."],
        "test": ["return the type .", "and more of it ."],
    }
    assert [(sentence.kind, sentence.first) for sentence in found["test"]] == [("function", True), ("function", False)]


def test_content_is_what_a_function_does_against_what_the_rest_is() -> None:
    texts = [
        Document("function", "Return the sum of both. This later sentence is no summary."),
        Document("class", "A queue of waiting tasks."),
        Document("topic", "Names refer to objects here."),
    ]
    (sentences,) = [found for found in library_sentences([("argparse", texts)]).values() if found]
    examples = dict(content_examples(sentences))
    assert examples["return the sum of both ."] == "1"
    assert "this later sentence is no summary ." not in examples
    assert sorted(examples.values()) == ["0", "1"]


@given(st.lists(st.sampled_from("abcdefg"), min_size=2, max_size=30))
def test_a_shuffle_is_local_and_keeps_the_words(words: list[str]) -> None:
    shuffled = shuffle_locally(words)
    assert (shuffled[0], shuffled[-1], len(shuffled)) == (words[0], words[-1], len(words))
    for start in range(1, len(words) - 1, 16):
        end = min(start + 16, len(words) - 1)
        assert list(shuffled[start:end]) == words[start:end][::-1]


def test_the_same_bytes_in_every_process(pydoc_order: Path, pydoc_bpe: Path, tmp_path: Path) -> None:
    code = "import sys, data_prep.api; data_prep.api.prepare_task('pydoc_order', sys.argv[1], sys.argv[2])"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code, str(pydoc_bpe), str(tmp_path)], cwd=ROOT, env=environment, check=True)
    there = tmp_path / "glue" / "pydoc_bpe" / "pydoc_order"
    assert all_bytes(there) == all_bytes(pydoc_order)
    assert load_manifest(there)["identity"] == load_manifest(pydoc_order)["identity"]


def test_files_to_look_at_hold_the_prepared_examples(
    pydoc_order: Path, pydoc_bpe: Path, tmp_path: Path, documents: Documents
) -> None:
    paths = EmbeddedExamples(TASKS["pydoc_order"], documents).write_tsv(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        f"pydoc_order/{name}.tsv" for name in ("train", "dev", "test")
    ]
    encoder = load_encoder(pydoc_bpe)
    for split, path in zip(SPLITS, paths, strict=True):
        header, *rows = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        assert header == "index\tsentence\tlabel"
        indices, sentences, labels = zip(*(row.split("\t") for row in rows), strict=True)
        assert indices == tuple(str(index) for index in range(len(rows)))
        assert lines_of(pydoc_order / "input0" / split, pydoc_order / "dict.txt") == [
            " ".join([*words, "</s>"]) for words in encoder(sentences)
        ]
        written = lines_of(pydoc_order / "label" / split, pydoc_order / "label" / "dict.txt")
        assert written == [f"{label} </s>" for label in labels]


def test_every_split_has_labels_and_nothing_to_hand_in(pydoc_order: Path) -> None:
    assert sorted(path.name for path in (pydoc_order / "label").iterdir()) == sorted(
        ["dict.txt", *(f"{split}.{suffix}" for split in SPLITS for suffix in ("bin", "idx"))]
    )
    assert not (pydoc_order / "index").exists()
    assert load_manifest(pydoc_order)["counts"] == "none"


@pytest.mark.parametrize("option", [{"revision": "x"}, {"source": "x"}])
def test_an_embedded_task_comes_from_nowhere_else(pydoc_bpe: Path, tmp_path: Path, option: dict[str, str]) -> None:
    with pytest.raises(DataError, match=f"pydoc_order is embedded: it takes no {next(iter(option))}"):
        prepare_task("pydoc_order", pydoc_bpe, tmp_path, **option)
