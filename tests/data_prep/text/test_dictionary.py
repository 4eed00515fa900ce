"""The dictionary's order, padding and file are those of fairseq-preprocess."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.core.errors import DataError
from data_prep.text.dictionary import EOS, UNKNOWN, Dictionary


def test_falling_count_ties_alphabetical_then_padding_to_a_multiple_of_eight() -> None:
    dictionary = Dictionary.build(Counter({"b": 2, "a": 2, "z": 9}))
    assert dictionary.entries == [("z", 9), ("a", 2), ("b", 2), ("madeupword0000", 0)]
    assert len(dictionary) == 8
    assert dictionary.words == 3


def test_words_below_the_threshold_are_unknown() -> None:
    dictionary = Dictionary.build(Counter({"often": 3, "rare": 2}), threshold=3)
    assert dictionary.index("often") == 4
    assert dictionary.index("rare") == UNKNOWN


def test_special_symbols_in_the_text_keep_their_numbers() -> None:
    dictionary = Dictionary.build(Counter({"<unk>": 50, "</s>": 3, "<pad>": 2, "<s>": 1, "a": 1}))
    assert [dictionary.index(word) for word in ("<s>", "<pad>", "</s>", "<unk>", "a")] == [0, 1, 2, 3, 4]
    assert dictionary.words == 1


def test_padding_avoids_words_of_the_text_that_look_like_padding() -> None:
    dictionary = Dictionary.build(Counter({"madeupword0000": 5, "a": 1}))
    assert [word for word, _ in dictionary.entries] == ["madeupword0000", "a", "madeupword0001", "madeupword0002"]
    assert dictionary.words == 2


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", "new", "<unk>", "</s>"]), max_size=6), max_size=10))
def test_encoding_numbers_words_and_closes_each_line(lines: list[list[str]]) -> None:
    dictionary = Dictionary([("a", 3), ("b", 2), ("c", 1)])
    number = {"a": 4, "b": 5, "c": 6, "new": UNKNOWN, "<unk>": UNKNOWN, "</s>": EOS}
    ids, sizes = dictionary.encode(lines)
    assert ids.tolist() == [i for line in lines for i in (*(number[word] for word in line), EOS)]
    assert sizes.tolist() == [len(line) + 1 for line in lines]


def test_a_lookup_does_not_add_words() -> None:
    dictionary = Dictionary([("a", 1)])
    dictionary.encode([["new", "newer"]])
    assert dictionary.index("new") == dictionary.index("newer") == UNKNOWN
    assert len(dictionary) == 5


def test_saved_and_loaded_alike(tmp_path: Path) -> None:
    dictionary = Dictionary.build(Counter({"ünicode": 4, "a": 4, "\ufeff": 1}))
    dictionary.save(tmp_path / "dict.txt")
    assert Dictionary.load(tmp_path / "dict.txt").entries == dictionary.entries


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a 1\nb\n", "line 2: expected a word and its count"),
        (b"a 1\nb x\n", "line 2: expected a word and its count"),
        (b"a 1\n\nb 1\n", "line 2"),
        (b"a 1\na 2\n", "line 2: the word 'a' stands twice"),
        (b"<unk> 1\n", "line 1: the word '<unk>' stands twice"),
        (b"a 1\n\xff 1\n", "cannot read the dictionary"),
    ],
)
def test_a_damaged_dictionary_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "dict.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        Dictionary.load(tmp_path / "dict.txt")
