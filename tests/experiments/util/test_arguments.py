"""key=value words of the small commands."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from experiments.util.arguments import parse
from experiments.util.errors import UserError


@dataclass
class Arguments:
    run: str | None = "last"
    prompt: str = ""
    tokens: int = 5
    length: int | None = 3
    temperature: float = 0.5
    unknown: bool = False


def test_words_become_typed_values() -> None:
    given = parse(Arguments, ["run=null", "tokens=-7", "length=null", "temperature=1e-3", "unknown=True"], "")
    assert given == Arguments(run=None, tokens=-7, length=None, temperature=0.001, unknown=True)


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "${nothing}", "a=b", "null", "{x: [1"])
def test_a_text_stays_as_it_was_written(text: str) -> None:
    assert parse(Arguments, [f"prompt={text}"], "").prompt == text


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("tokens=abc", "tokens=abc: expected a whole number"),
        ("tokens=2.5", "tokens=2.5: expected a whole number"),
        ("tokens=null", "tokens=null: expected a whole number"),
        ("tokens=${length}", "expected a whole number"),
        (f"tokens={'9' * 40}", "at most 4294967295"),
        ("tokens=${length", "expected a whole number"),
        ("length=x", "length=x: expected a whole number, or null"),
        ("temperature=nan", "temperature=nan: expected a number"),
        ("unknown=2", "unknown=2: expected true or false"),
        ("tokns=3", "unknown key 'tokns'; did you mean 'tokens'?"),
        ("=3", "'=3': expected key=value"),
        ("tokens", "'tokens': expected key=value"),
    ],
)
def test_a_mistake_names_the_word_and_the_remedy(word: str, remedy: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(Arguments, [word], "")
    assert remedy in str(caught.value)
