"""The table command with a trainer and a config loader in place of the real ones."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.runs.records import RunFolder
from experiments.table import main
from experiments.tables.plan import Needed, Resolved
from experiments.util.errors import UserError

DEMO = ["none", "rope", "lrpe_unitary", "lrpe_orthogonal", "lrpe_permutation"]


class Workshop:
    """A results folder, a config loader that hashes nothing, and a trainer that writes records."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.trained: list[tuple[str, int]] = []
        self.broken: set[str] = set()
        self.silent_failures: set[str] = set()
        self.better_when_controlled: set[str] = set()
        self.environments: list[dict[str, str]] = []
        self.config: Mapping[str, Any] = {}
        self.required: Needed | None = None
        self.output = io.StringIO()

    def resolve(self, overrides: list[str]) -> Resolved:
        words = dict(word.split("=", 1) for word in overrides)
        if words["encoding"] == "nonsense" or "recipe.max_updat" in words:
            raise UserError("unknown key 'recipe.max_updat'; did you mean 'recipe.max_update'")
        if words["profile"] not in ("demo", "small", "paper"):
            raise UserError(f"profile={words['profile']}: unknown; did you mean 'demo'")
        identity = f"{words['protocol'][:4]}{words.get('recipe.max_update', '0'):0>4}"
        group = self.root / "runs" / "alm" / f"{words['encoding']}-{identity}"
        requires = (self.required,) if self.required else ()
        return Resolved(group / f"seed{words['seed']}", identity, self.root, requires, self.config)

    def launch(self, command: Sequence[str], log: Path | None, environment: Mapping[str, str]) -> int:
        assert command[1:3] == ["-m", "experiments.train"]
        words = dict(word.split("=", 1) for word in command[3:])
        where, seed = self.resolve(list(command[3:])), int(words["seed"])
        self.trained.append((words["encoding"], seed))
        self.environments.append(dict(environment))
        if log is not None:
            log.write_text(f"log of {words['encoding']}\nlast words\n")
        if words["encoding"] in self.silent_failures:
            return 0
        folder = RunFolder(where.folder)
        run = {"experiment": "alm", "encoding": words["encoding"], "protocol": words["protocol"], "seed": seed}
        run |= {"profile": words["profile"], "identity": where.identity, "name": f"{words['encoding']} seed {seed}"}
        folder.begin(run, manifest={"python": "3.11"}, parameters={"total": 2_000_000, "encoding": 0})
        perplexity = 50.0 + seed + 10 * len(words["encoding"])
        if words["protocol"] == "controlled" and words["encoding"] in self.better_when_controlled:
            perplexity -= 5
        for update in (10, 20):
            folder.append({"update": update, "split": "train", "loss": 5.0 - update / 10, "perplexity": 9.0})
            folder.append({"update": update, "split": "valid", "loss": 4.0, "perplexity": perplexity})
        if words["encoding"] in self.broken:
            folder.close("failed", to_update=20, error="ValueError: it broke")
            return 1
        metrics = {"valid_perplexity": perplexity, "test_perplexity": perplexity + 1, "unigram_perplexity": 987.6}
        folder.close("finished", to_update=20, metrics=metrics, tokens_per_second=1234.0)
        return 0

    def table(self, *words: str, launch: Callable[..., int] | None = None, console: Console | None = None) -> int:
        self.output = io.StringIO()
        console = console or Console(file=self.output, width=200, soft_wrap=True)
        arguments = ["table=alm", *words]
        return main(arguments, resolve=self.resolve, launch=launch or self.launch, console=console)

    @property
    def text(self) -> str:
        return self.output.getvalue()

    def file(self, suffix: str, stem: str = "alm-demo-controlled") -> str:
        return (self.root / "tables" / f"{stem}.{suffix}").read_text()
