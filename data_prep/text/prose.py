"""From documentation to lines of words: one paragraph a line, without code, tables and markup."""

from __future__ import annotations

import re

MIN_WORDS = 3
MIN_WORD_SHARE = 0.5

RULES = {
    "lines": "one paragraph a line; code examples, tables, headings' rules, addresses and markup left out",
    "prose": f"a paragraph has at least {MIN_WORDS} alphabetic words, and they are {MIN_WORD_SHARE:.0%} of its tokens",
    "tokens": "lower case; runs of letters, digits, underscores and inner apostrophes; runs of one punctuation mark",
}

_PARAGRAPHS = re.compile(r"\n[ \t]*\n")
_EXAMPLE = re.compile(r"^[ \t]*>>>", re.MULTILINE)
_RULE = re.compile(r"^[\W_]+$")
_ADDRESS = re.compile(r"(?:https?|ftp)://\S+")
_ROLE = re.compile(r":(?:[a-z]+:)?[a-z]+:`")
_MARKUP = re.compile(r"[`*|]+|::(?=\s|$)|\.\.(?= \w+::)")
_TYPOGRAPHIC = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"})
_TOKEN = re.compile(r"\w+(?:'\w+)*|([^\w\s])\1*")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")


def paragraphs(text: str) -> list[list[str]]:
    """The prose of a docstring or a documentation page, a list of tokens for each paragraph."""
    found = (tokenize(_plain(paragraph)) for paragraph in _PARAGRAPHS.split(text))
    return [tokens for tokens in found if is_prose(tokens)]


def tokenize(text: str) -> list[str]:
    """Lower-cased words and punctuation marks."""
    return [match[0] for match in _TOKEN.finditer(text.lower())]


def is_prose(tokens: list[str]) -> bool:
    """Whether most of a paragraph is words rather than symbols, names with underscores or numbers."""
    words = sum(_WORD.fullmatch(token) is not None for token in tokens)
    return words >= MIN_WORDS and words >= MIN_WORD_SHARE * len(tokens)


def _plain(paragraph: str) -> str:
    """Without an interactive example (which runs to the paragraph's end), rules and markup."""
    if example := _EXAMPLE.search(paragraph):
        paragraph = paragraph[: example.start()]
    lines = (line.strip() for line in paragraph.translate(_TYPOGRAPHIC).split("\n"))
    text = " ".join(line for line in lines if not _RULE.match(line))
    return _MARKUP.sub("", _ROLE.sub("", _ADDRESS.sub("", text)))
