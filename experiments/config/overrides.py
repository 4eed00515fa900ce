"""What no override may reach, wherever it comes from: a person, a table's description, a sweep's server.

hydra calls whatever a ``_target_`` names, reads configs from any folder, and puts any environment variable into a
value. An override of ours chooses numbers and names; code is chosen by what lies in ``conf/``.
"""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Iterator
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString, RangeSweep
from hydra.errors import HydraException

from experiments.config.groups import LAUNCHER
from experiments.util.errors import UserError
from experiments.util.secrets import mask_text

# Where a sweep runs and where it puts its own files: the rest of hydra's settings stays as conf/train.yaml has it.
HYDRA_KEYS = ("hydra.launcher", "hydra.sweep.dir", "hydra.sweep.subdir")
# Flags that only show something, with how many words belong to each.
FLAGS = {
    **dict.fromkeys(("-m", "--multirun", "-h", "--help", "--hydra-help", "--version", "--resolve"), 0),
    **dict.fromkeys(("-i", "--info"), 0),
    **dict.fromkeys(("-c", "--cfg"), 1),
}
MAX_SWEEP_RUNS = 10_000  # of a sweep: hydra lists them all before the first one starts
# Where ~ is the home folder.
PATHS = ("data.folder", "paths.results", "paths.data", "pretraining.data.folder", "pretraining.checkpoint")
_KEY = re.compile(r"[+~]{0,2}[\w./@-]+")
_INSTANTIATES = re.compile(r"_(target|args|partial)_")
_CLOCK = re.compile(r"\$\{now:[^${}]*\}")
_RESOLVES = re.compile(r"\$\{.*:", re.DOTALL)


def key_of(word: str) -> str:
    """``recipe.learning_rate`` of ``+recipe.learning_rate=1``."""
    return word.partition("=")[0].lstrip("+~")


def refuse_reaching(override: Override) -> None:
    """Refuse an override that could call something, read the environment, carry a secret into a record, or change how
    hydra itself works.

    Raises:
        UserError: naming the key and what to do instead.
    """
    key, word = override.key_or_group, override.input_line or ""
    for text in (key, override.package or "", *_texts(override.value())):
        if _INSTANTIATES.search(text):
            raise UserError(f"'{word}': {text} would have hydra call what it names; leave it to the files in conf/")
        if _RESOLVES.search(_CLOCK.sub("", text)):
            raise UserError(
                f"'{word}': an override takes no resolver such as oc.env, which could carry a secret into a record; "
                'let the shell put the value in: key="$NAME"'
            )
        if mask_text(text) != text:  # in a message that does not repeat it
            raise UserError(
                f"{key}: the value looks like a password or a token, and configs are recorded; "
                "leave it out: wandb takes its key from `wandb login` or WANDB_API_KEY"
            )
    if key.partition(".")[0].partition("/")[0] == "hydra" and key != LAUNCHER and not _within(key, HYDRA_KEYS):
        raise UserError(f"'{word}': of hydra's own keys a run takes only {', '.join((LAUNCHER, *HYDRA_KEYS))}")


def unreadable(word: str) -> str:
    """What to say of a word that hydra's grammar refuses: which signs need quotes, and the word in quotes."""
    key, equals, value = word.partition("=")
    if not equals or not _KEY.fullmatch(key):
        return f"cannot read {word!r}: expected key=value, e.g. encoding=rope or seed=1,2,3"
    signs = dict.fromkeys(sign for sign in value if not sign.isalnum() and not _parses(f"key=a{sign}b"))
    quoted = _quoted(key, value)
    if not _parses(quoted):
        return f"cannot read {word!r}: expected key=value, e.g. encoding=rope or seed=1,2,3"
    which = " ".join(signs) or value
    text = f"cannot read {word!r}: {which} in a value needs quotes of its own: {shlex.quote(quoted)}"
    inside = value[1:-1] if value[:1] + value[-1:] == "()" else ""
    return f"{text}; a list is written {shlex.quote(f'{key}=[{inside}]')}" if inside else text


def _quoted(key: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{escaped}'"


def _parses(word: str) -> bool:
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True


def expand_home(word: str) -> str:
    """An override of a path with ``~`` as the home folder; hydra writes its own files below ``paths.results``."""
    key, equals, value = word.partition("=")
    if not equals or key not in PATHS or not value.startswith("~"):
        return word
    path = os.path.expanduser(value)
    return f"{key}={path}" if _parses(f"{key}={path}") else _quoted(key, path)


def refuse_sweeping(overrides: list[Override], sweeping: bool) -> None:
    """Refuse several values and a sweep's launcher for one run, and a sweep that would never end.

    Raises:
        UserError: naming the override, or the number of runs.
    """
    runs = 1
    for override in overrides:
        key = override.key_or_group
        if not sweeping and (key == LAUNCHER or _within(key, HYDRA_KEYS)):
            raise UserError(
                f"'{override.input_line}' has no effect here, where nothing is swept: a launcher belongs to "
                "python -m experiments.train -m ...; leave it out, or add -m there"
            )
        if not override.is_sweep_override():
            continue
        if not sweeping:
            raise UserError(f"'{override.input_line}': one run takes one value; add -m to train a run for each")
        runs *= _length(override.value())
        if runs > MAX_SWEEP_RUNS:
            raise UserError(f"'{override.input_line}': a sweep of {runs:,} runs; at most {MAX_SWEEP_RUNS:,} at once")


def _length(value: Any) -> int:
    if isinstance(value, RangeSweep):
        start, stop, step = float(value.start or 0), float(value.stop or 0), float(value.step)
        return max(0, math.ceil((stop - start) / step)) if step and math.isfinite(stop - start) else MAX_SWEEP_RUNS + 1
    return len(value.list) if isinstance(value, ChoiceSweep) else 1


def split_flags(words: list[str]) -> tuple[list[str], list[str]]:
    """(flags with their values, overrides) of a command line.

    Raises:
        UserError: a flag that has hydra read other configs, or a pickle.
    """
    flags, overrides = [], []
    waiting = 0
    for word in words:
        name, equals, _ = word.partition("=")
        if waiting:
            flags.append(word)
            waiting -= 1
        elif word.startswith("-"):
            if name not in FLAGS:
                raise UserError(f"'{word}': unknown flag (there are: {', '.join(FLAGS)}; configs lie in conf/)")
            flags.append(word)
            waiting = FLAGS[name] if not equals else 0
        else:
            overrides.append(word)
    return flags, overrides


def _within(key: str, parents: tuple[str, ...]) -> bool:
    return any(key == parent or key.startswith(f"{parent}.") for parent in parents)


def _texts(value: Any) -> Iterator[str]:
    """Every text in a parsed value, keys of dictionaries and elements of sweeps included."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, ChoiceSweep):
        yield from _texts(value.list)
    elif isinstance(value, QuotedString):
        yield value.text
    elif isinstance(value, str):
        yield value
