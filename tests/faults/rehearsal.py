"""Every command as it is, up to its work: what it made of its words, and what it left behind."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

import experiments.config
import experiments.engine.session
import experiments.tables.request
import experiments.tuning.request
import experiments.util.arguments
from tests.faults.commands import Outcome, call
from tests.faults.mistakes import contradictions, same

SECONDS = 60  # against a hang
NO_KEY_OF_THESE = ("partial",)  # keys that neither a config nor typed arguments show


class Rehearsal:
    """Calls commands in this process; a training is noted in place of being done.

    Args:
        data, results: the roots of both; ``results`` is empty before each command and after it.

    Attributes:
        configs, arguments: what the last command composed and parsed.
    """

    def __init__(self, data: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.results = results
        self.configs: list[DictConfig] = []
        self.arguments: list[Any] = []
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("LRPE_DATA", str(data))
        monkeypatch.setenv("LRPE_RESULTS", str(results))
        monkeypatch.setattr("experiments.engine.plan._matmul_rate", lambda: 1e9)  # is timed, and nothing here needs it
        monkeypatch.setattr("experiments.tuning.study.Study.claim", lambda study: nullcontext())
        logging.getLogger("hydra").setLevel(logging.WARNING)  # else hydra works out all that it could print
        monkeypatch.setattr(experiments.engine.session, "_train", self._note_training)
        self._note(experiments.util.arguments, "parse", self.arguments)
        self._note(experiments.config, "compose", self.configs)
        self._note(experiments.tuning.request, "compose", self.configs)
        self._note(experiments.tables.request, "parse_request", self.arguments)
        self._note(experiments.tuning.request, "parse_request", self.arguments)

    def call(self, module: str, words: Sequence[str]) -> tuple[Outcome, list[Path]]:
        """How a command ended, and what lay in ``results`` then."""
        self.configs.clear()
        self.arguments.clear()
        self.results.mkdir()
        ended = call(module, *words, seconds=SECONDS)
        left = list(self.results.iterdir())
        shutil.rmtree(self.results)
        return ended, left

    @property
    def has_read(self) -> bool:
        """Whether the last command took its words."""
        return bool(self.configs or self.arguments)

    def misread(self, words: Sequence[str]) -> list[str]:
        """Those of the last command's words that it took for something else."""
        overrides, found = [], []
        for word in words:
            key, _, value = word.partition("=")
            said = [getattr(arguments, key) for arguments in self.arguments if hasattr(arguments, key)]
            found += [f"{word}: read as {one!r}" for one in said if not _is(one, value)]
            if not said and key not in NO_KEY_OF_THESE and not value.endswith(")"):  # a distribution is no value
                overrides.append(word)
        return [*found, *(contradictions(overrides, self.configs[-1]) if self.configs else ())]

    def _note_training(self, config: DictConfig, *others: Any) -> int:
        self.configs.append(config)
        return 0

    def _note(self, module: Any, name: str, into: list[Any]) -> None:
        original = getattr(module, name)

        def noting(*given: Any, **named: Any) -> Any:
            into.append(original(*given, **named))
            return into[-1]

        self._monkeypatch.setattr(module, name, noting)


def _is(argument: Any, text: str) -> bool:
    """Whether an argument is what its word says; ``seeds=2`` are two of them, ``rows=a,b`` these names."""
    if isinstance(argument, tuple):
        listed = text.strip("[]").split(",")
        return {str(item) for item in argument} <= set(listed) or listed == [str(len(argument))]
    return same(None if text == "null" else text, argument)
