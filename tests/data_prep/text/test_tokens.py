"""Further text is tokenized as a prepared corpus was, from its folder alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.api import DataError, load_manifest, prepare
from data_prep.text.tokens import TextStream, load_tokens
from tests.data_prep.support import random_text, write_source


def test_words_are_split_at_white_space(tmp_path: Path) -> None:
    folder = prepare("wikitext2", tmp_path / "out", write_source(tmp_path / "source"), allow_other_counts=True)
    tokens = load_tokens(folder)
    assert tokens.tokenize(["A  b,\tc ", ""]) == [["A", "b,", "c"], []]
    assert (tokens.name, tokens.identity) == ("wikitext2", load_manifest(folder)["identity"])
    assert (tokens.dictionary.index("a"), tokens.text_of("a")) == (4, " a")


def test_pieces_are_those_of_the_stripped_line(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", suffix="raw", train=random_text(50))
    folder = prepare("wikitext2_bpe", tmp_path / "out", source, train_bpe=280, allow_other_counts=True)
    tokens = load_tokens(str(folder))
    (words,) = tokens.tokenize(["  W1 w2, w3 "])
    assert "".join(map(tokens.text_of, words)) == "W1 w2, w3"
    assert all(tokens.dictionary.index(word) > 3 for word in words)


def test_the_embedded_text_is_lower_case_with_marks_apart_and_so_is_what_follows(pydoc: Path, pydoc_bpe: Path) -> None:
    for tokens in (load_tokens(pydoc), load_tokens(pydoc_bpe)):
        (words,) = tokens.tokenize(["Return the Value, or None."])
        assert "".join(map(tokens.text_of, words)).strip() == "return the value , or none ."


def test_a_damaged_folder_is_named(tmp_path: Path) -> None:
    folder = prepare("wikitext2", tmp_path / "out", write_source(tmp_path / "source"), allow_other_counts=True)
    (folder / "dict.txt").unlink()
    with pytest.raises(DataError, match=r"missing .*dict.txt"):
        load_tokens(folder)
    with pytest.raises(DataError, match="holds no prepared data"):
        load_tokens(tmp_path)


def test_streamed_text_is_the_whole_text_and_never_ends_inside_a_character(tmp_path: Path) -> None:
    letters = "".join(chr(number) for number in range(0x100, 0x200))
    source = write_source(
        tmp_path / "source", train=f"{letters}\nthe the the the the\n", valid=f"{letters}\n", test=f"{letters}\n"
    )
    folder = prepare("wikitext2_bpe", tmp_path / "out", source, train_bpe=257, allow_other_counts=True)
    tokens = load_tokens(folder)
    text = "Tōkyō – 北京 🎉 plain"
    words = tokens.tokenize([text])[0]
    assert len(words) > len(text), "characters of several tokens"
    stream = TextStream(tokens.text_of)
    parts = [stream.push(word) for word in words]
    assert "".join(parts) + stream.flush() == tokens.text_of(*words) == text
    assert not any("\ufffd" in part for part in parts)
    stream.push(words[1])
    assert TextStream(tokens.text_of).flush() == ""
