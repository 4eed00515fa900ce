"""Is what is kept sound: seals, identities, whose run each is, and the rendered tables byte for byte?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from omegaconf import OmegaConf

from experiments.measured.kept import Kept
from experiments.runs.store import StoredRun
from experiments.runs.verification import problems as problems_of_run
from experiments.util.files import FIELD, flatten

# What a choice of a group is called in a config.
CHOICES = {"encoding": "encoding.label"}


def problems(kept: Kept) -> Iterator[str]:
    """What is wrong, one sentence each; nothing where all is well."""
    runs = kept.runs()
    groups: dict[str, list[StoredRun]] = {}
    for run in runs:
        groups.setdefault("/".join(run.folder.parts[-3:-1]), []).append(run)
        yield from (f"{run.name}: {problem}" for problem in problems_of_run(run, weights=False))
        if run.record is not None and FIELD not in run.record:
            yield f"{run.name}: record.json carries no checksum"
        if run.state != "finished":
            yield f"{run.name}: is {run.state}, and only finished runs are kept"
    for key, place in kept.index.items():
        if place not in groups:
            yield f"index.json: {place} is not below runs/"
        for run in groups.get(place, ()):
            config = run.config_or_nothing()
            yield from (f"{run.name}: {problem}" for problem in _differences(key, config))
    for place in sorted(groups.keys() - set(kept.index.values())):
        yield f"{place}: no table has it"
    yield from _rendered(kept)


def _differences(key: str, config: Mapping[str, Any]) -> Iterator[str]:
    """Where a run's config is not what its overrides in the index say."""
    flat = flatten(config)
    for word in shlex.split(key):
        name, _, value = word.lstrip("+").partition("=")
        found = flat.get(name if "." in name else CHOICES.get(name, f"{name}.name"))
        wanted = OmegaConf.create({**config, "_": yaml.safe_load(value)})["_"]
        if found != wanted:
            yield f"config.yaml has {found}, and index.json lists it under {word}"


def _rendered(kept: Kept) -> Iterator[str]:
    texts = kept.rendered()
    for path, text in texts.items():
        if not path.is_file():
            yield f"{path.name} is missing; python -m experiments.measured render writes it"
        elif path.read_bytes() != text.encode():
            yield f"{path.name} is not what the records give; python -m experiments.measured render writes it"
    for path in sorted((kept.folder / "tables").glob("*")):
        if path not in texts:
            yield f"{path.name} belongs to no table of tables.yaml"
