"""Command lines with one mistake: seeded, so that a number names one line for ever; and how each has to end."""

from __future__ import annotations

import random
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

VALUES = (
    "", "abc", "-1", "2.5", "nan", "inf", "-inf", "1e400", "9" * 40, "4000000000", "null", "[1,2]", "{a: 1}", "1.5.2",
    "ｗｉｄｅ", "💥", "${seed", "${nothing}", "${oc.env:HOME}", "'open", "{_target_: os.system}", "true", "0", "1,2",
    "../up", "range(1,3)", "${seed}",
)  # fmt: skip
PREFIXES = ("+", "++", "~", "-", "--")
OTHER_VALUES = 8  # of 15 mistakes: what people get wrong most often
CONFLICTING, REPEATED = 0.15, 0.1  # how often the mistake is in two words together, or stands beside the valid word
REMEDY = re.compile(
    r"did you mean|all keys|expected|there (is|are): |(choices|keys|valid|(rows|columns) of \w+): |key=value"
    r"|at (least|most) \d|leave (it|out|one) |\b(use|give|set|add|adds|lower|run|takes?) \w|-- ?help"
)

QUOTED = re.compile(r"in a value needs quotes of its own: (.+)")


def mutate(words: Sequence[str], conflicts: Sequence[str], draw: random.Random) -> tuple[list[str], str]:
    """The words with one mistake in them or beside them, and the word that has it."""
    if conflicts and draw.random() < CONFLICTING:
        changed = draw.choice(conflicts)
        return [*words, changed], changed
    place = draw.randrange(len(words))
    changed = draw.choice([*_mistakes(words[place], draw)])
    if draw.random() < REPEATED:
        return [*words, changed], changed
    return [*words[:place], changed, *words[place + 1 :]], changed


def _mistakes(word: str, draw: random.Random) -> Iterator[str]:
    key, _, value = word.partition("=")
    at, half = draw.randrange(len(key)), len(value) // 2
    yield f"{key[:at]}{key[at + 1 :]}={value}"
    yield f"{key[:at]}q{key[at:]}={value}"
    yield f"{key}={value[:half]}x{value[half:]}"
    yield f"{key}.below={value}"
    yield key
    yield f"={value}"
    yield f"{draw.choice(PREFIXES)}{key}={value}"
    for value in draw.sample(VALUES, OTHER_VALUES):
        yield f"{key}={value}"


def names(message: str, changed: str) -> bool:
    """Whether a message names the mistaken word: all of it, its key, or its value."""
    key, _, value = changed.partition("=")
    key = key.lstrip("+~-")
    named = (key, key.rpartition(".")[2], f"'{value}'", f"={value}", f"at {value}")
    return changed in message or any(len(name.strip("='")) > 1 and name in message for name in named)


def remedies(message: str) -> bool:
    """Whether a message says what to write instead: the nearest name, the choices, a type or a range, or the word as a
    shell takes it, which then has to be one that hydra reads."""
    if quoted := QUOTED.search(message):
        (word,) = shlex.split(quoted[1])
        return OverridesParser.create().parse_override(word).value() is not None
    return REMEDY.search(message) is not None


def contradictions(words: Sequence[str], config: DictConfig) -> Iterator[str]:
    """Each override that a composed config contradicts, with what it says; of one key, the last word counts."""
    overrides = OverridesParser.create().parse_overrides(list(words))
    last = {parsed.package or parsed.key_or_group: parsed for parsed in overrides}
    last.pop("preset", None)  # has no node of its own
    for key, parsed in last.items():
        value, said = parsed.value(), OmegaConf.select(config, key)
        if parsed.is_delete():
            right = said is None
        elif isinstance(said, DictConfig) and not isinstance(value, dict):  # a group's choice is one of its values
            right = str(value) in map(str, OmegaConf.to_container(said).values())
        elif isinstance(value, str) and "${" in value:
            right = said == OmegaConf.create({**config, "asked": value}).asked
        else:
            right = same(value, OmegaConf.to_container(said) if OmegaConf.is_config(said) else said)
        if not right:
            yield f"{parsed.input_line}: the config says {said!r}"


def same(asked: Any, said: Any) -> bool:
    """Equal, or equal as written (a name of digits) or as numbers; no number is a truth but 0 and 1."""
    if isinstance(asked, dict):
        return all(same(value, (said or {}).get(key)) for key, value in asked.items())
    if asked is None or said is None:
        return asked is said
    if str(getattr(asked, "text", asked)) == str(said):
        return True
    if isinstance(said, bool):
        return str(asked).lower() in (("true", "1") if said else ("false", "0"))
    try:
        return float(asked) == float(said)
    except (TypeError, ValueError):
        return False
