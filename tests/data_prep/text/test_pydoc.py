"""The embedded corpus: real prose, read without running anything, with no text in two splits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from data_prep.api import DataError, load_manifest, unigram_perplexity
from data_prep.catalog import load
from data_prep.core.request import Request
from data_prep.text.prose import paragraphs, tokenize
from data_prep.text.pydoc import EmbeddedText, split_of
from data_prep.text.standard_library import library_texts
from data_prep.text.text_source import SPLITS
from tests.data_prep.support import ROOT, prepared_bytes


@pytest.fixture
def prepared(pydoc: Path) -> Path:
    return pydoc


@pytest.fixture(scope="module")
def text() -> EmbeddedText:
    return EmbeddedText(library_texts())


def lines_of(text: EmbeddedText, split: str) -> list[str]:
    return [line for block in text.blocks(split) for line in block]


def test_a_corpus_of_a_useful_size(prepared: Path) -> None:
    manifest = load_manifest(prepared)
    words = {split: counts["tokens"] - counts["lines"] for split, counts in manifest["splits"].items()}
    assert 300_000 < sum(words.values()) < 400_000
    assert min(words["valid"], words["test"]) > 12_000
    assert 5_000 < manifest["words"] < 8_000
    assert all(counts["unknown_rate"] < 0.06 for counts in manifest["splits"].values())
    assert manifest["source"]["id"] == "CPython " + sys.version.split()[0]


def test_no_line_is_in_two_splits_nor_twice_in_one(text: EmbeddedText) -> None:
    counts = Counter(line for split in SPLITS for line in lines_of(text, split))
    assert counts.most_common(1)[0][1] == 1


def test_all_texts_of_a_module_are_in_one_split() -> None:
    first, second = "Words that stand here alone.", "More words that stand here."
    for index in range(40):
        text = EmbeddedText([(f"module{index}", [first, second])])
        assert [len(lines_of(text, split)) for split in SPLITS].count(2) == 1


def test_every_split_gets_its_share_of_names() -> None:
    drawn = Counter(split_of(f"package.module{index}") for index in range(5_000))
    assert drawn["valid"] == pytest.approx(400, abs=80)
    assert drawn["test"] == pytest.approx(400, abs=80)
    assert split_of("argparse") == "train"  # the same on every machine, for ever
    assert split_of("threading") == "valid"
    assert split_of("typing") == "test"


def test_a_paragraph_in_two_modules_stays_in_train() -> None:
    assert (split_of("argparse"), split_of("threading")) == ("train", "valid")
    both = "A sentence that both have."
    text = EmbeddedText([("threading", [both, "And one of its own."]), ("argparse", [both])])
    assert lines_of(text, "train") == ["a sentence that both have ."]
    assert lines_of(text, "valid") == ["and one of its own ."]


def test_the_same_bytes_in_every_process_and_nothing_of_the_other_parts_is_imported(
    prepared: Path, tmp_path: Path
) -> None:
    """Nor are the modules that it reads."""
    code = (
        "import sys, data_prep.api\n"
        "folder = data_prep.api.prepare('pydoc', sys.argv[1])\n"
        "data_prep.api.check(folder), data_prep.api.unigram_perplexity(folder, 'test')\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'fairseq', 'lrpe', 'experiments', "
        "'datasets', 'tokenizers', 'this', 'antigravity', 'turtle', 'tkinter', 'pydoc_data'}))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
    assert prepared_bytes(tmp_path / "pydoc") == prepared_bytes(prepared)
    assert load_manifest(tmp_path / "pydoc")["identity"] == load_manifest(prepared)["identity"]


def test_the_library_is_read_and_never_run(tmp_path: Path) -> None:
    library = tmp_path / "library"
    for name, source in {
        "effects.py": f'"""Documented, and not run."""\nopen({str(tmp_path / "ran")!r}, "w")\n',
        "package/__init__.py": 'class A:\n    "Class."\n    def f(self):\n        """Method."""\n',
        "broken.py": '"""Doc."""\ndef (',
        "test/test_a.py": '"""Test."""',
        "site-packages/other.py": '"""Installed."""',
        "pydoc_data/topics.py": "topics = {'if': 'Page if.', 'del': 'Page del.'}",
    }.items():
        path = library / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    assert list(library_texts(library)) == [
        ("effects", ["Documented, and not run."]),
        ("package", ["Class.", "Method."]),
        ("pydoc_data.topics.del", ["Page del."]),
        ("pydoc_data.topics.if", ["Page if."]),
    ]
    assert not (tmp_path / "ran").exists()
    (library / "pydoc_data/topics.py").unlink()
    with pytest.raises(DataError, match="does not hold the standard library's sources"):
        list(library_texts(library))


@pytest.mark.parametrize(
    ("documentation", "expected"),
    [
        ("Return the *value* of ``x``.\nSee :func:`len` too.", ["return the value of x . see len too ."]),
        ("One paragraph stands here.\n\n   Another one stands here.", 2),
        ("A heading with words\n====================", ["a heading with words"]),
        ("See the example that follows:\n>>> f(1)\n2\n\nAnd then it goes on.", 2),
        (">>> len([])\n0", []),
        ("x = f(a[0], b[1]) + {c: d}", []),
        ("Don’t use “it” -- ever.", ['don\'t use " it " -- ever .']),
        ("Then the __init__() of read_tokens is called.", ["then the __init__ ( ) of read_tokens is called ."]),
        ("See https://example.org/a_b?c=1 for more of it.", ["see for more of it ."]),
    ],
)
def test_prose_is_kept_and_code_and_markup_are_not(documentation: str, expected: object) -> None:
    found = [" ".join(tokens) for tokens in paragraphs(documentation)]
    assert (len(found) if isinstance(expected, int) else found) == expected


def test_tokens_survive_splitting_at_white_space(text: EmbeddedText) -> None:
    for line in lines_of(text, "valid"):
        assert tokenize(line) == line.split()


def test_a_unigram_model_leaves_something_to_learn(prepared: Path) -> None:
    for split in SPLITS:
        assert 200 < unigram_perplexity(prepared, split) < 600


@pytest.mark.parametrize("option", [{"source": Path("x")}, {"revision": "x"}, {"bpe": Path("x")}])
def test_embedded_text_takes_no_source(option: dict[str, object]) -> None:
    with pytest.raises(DataError, match=f"it takes no {next(iter(option))}"):
        load("pydoc").corpus(Request(**option))
