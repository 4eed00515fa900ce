"""How a prepared corpus turns text into words of its dictionary: further text is tokenized from its folder alone, or
from a folder that has this part of it and no text (:func:`save_tokens`)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.core.errors import DataError
from data_prep.core.manifest import check
from data_prep.text.bpe import FILES, load_encoder
from data_prep.text.dictionary import Dictionary
from data_prep.text.prose import tokenize as tokenize_prose

Tokenize = Callable[[Sequence[str]], list[list[str]]]
DICTIONARY, FACTS = "dict.txt", "tokens.json"


def split_words(lines: Sequence[str]) -> list[list[str]]:
    """Words between white space, as fairseq splits them."""
    return [line.split() for line in lines]


@dataclass(frozen=True)
class Tokens:
    """The vocabulary of a prepared corpus.

    Attributes:
        name: of the corpus.
        identity: of the corpus.
        rule: how text becomes words of the dictionary, in words.
        tokenize: lines to lists of words of the dictionary.
        text_of: such words to text, with the space before each where it has one; bytes of a character that is not
            complete come out as U+FFFD.
        dictionary: of the corpus.
    """

    name: str
    identity: str
    rule: str
    tokenize: Tokenize
    text_of: Callable[..., str]
    dictionary: Dictionary


def load_tokens(folder: Path | str) -> Tokens:
    """The vocabulary of a prepared folder, or of one that :func:`save_tokens` wrote.

    The embedded corpus was lower-cased and split before anything else, so further text is too.

    Raises:
        DataError: the folder is not prepared, or is damaged.
    """
    folder = Path(folder)
    facts = _read_facts(folder / FACTS) if (folder / FACTS).is_file() else _facts(check(folder))
    embedded = facts["embedded"]
    tokenize, text_of, rule = _split_prose if embedded else split_words, _with_space, "words between white space"
    if embedded:
        rule = "lower case; words and punctuation marks"
    if facts["bpe"]:
        encoder = load_encoder(folder)
        words, text_of = tokenize, encoder.decode
        tokenize = (lambda lines: encoder([" ".join(line) for line in words(lines)])) if embedded else encoder
        rule = f"{rule}; BPE of them, joined by spaces" if embedded else "BPE of the stripped line"
    dictionary = Dictionary.load(folder / DICTIONARY)
    return Tokens(facts["name"], facts["identity"], rule, tokenize, text_of, dictionary)


def save_tokens(folder: Path | str, out: Path | str) -> None:
    """Copy the vocabulary of a prepared corpus: ``dict.txt``, its BPE where it has one, and ``tokens.json``, which says
    how text is split.

    Raises:
        DataError: ``folder`` is not prepared, or is damaged.
    """
    folder, out = Path(folder), Path(out)
    facts = _facts(check(folder))
    for name in (DICTIONARY, *(FILES if facts["bpe"] else ())):
        shutil.copyfile(folder / name, out / name)
    (out / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _facts(manifest: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": manifest["name"],
        "identity": manifest["identity"],
        "embedded": manifest["source"]["kind"] == "embedded",
        "bpe": "bpe" in manifest,
    }


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if not isinstance(facts, dict) or {"name", "identity", "embedded", "bpe"} - facts.keys():
        raise DataError(f"{path}: expected name, identity, embedded and bpe")
    return facts


def _split_prose(lines: Sequence[str]) -> list[list[str]]:
    return [tokenize_prose(line) for line in lines]


def _with_space(*words: str) -> str:
    return "".join(f" {word}" for word in words)


class TextStream:
    """Text from words one at a time: what is shown never ends inside a character, and adds up to the whole text.

    Args:
        text_of: of :class:`Tokens`.
    """

    def __init__(self, text_of: Callable[..., str]) -> None:
        self._text_of = text_of
        self._held: list[str] = []

    def push(self, word: str) -> str:
        """The text that became complete with ``word``; empty while bytes of its last character are missing."""
        self._held.append(word)
        return "" if self._text_of(*self._held).endswith("\ufffd") else self.flush()

    def flush(self) -> str:
        """The text that was held back, whatever it ends with."""
        text = self._text_of(*self._held) if self._held else ""
        self._held = []
        return text
