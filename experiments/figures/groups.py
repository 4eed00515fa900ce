"""Runs as lines of a figure: the seeds of one config together, named by what sets it apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.runs.comparison import is_place
from experiments.runs.store import StoredRun
from experiments.util.files import flatten

SHOWN_KEYS = 2
# Names of what stands beside them in full, and protocols that were not chosen.
_NAMES = ("profile.name", "protocol.name", "model.name", "recipe.name", "encoding.published.", "encoding.controlled.")


@dataclass(frozen=True)
class Group:
    """The finished runs of one identity, seeds in order; ``look`` is its place in the palette."""

    label: str
    runs: tuple[StoredRun, ...]
    look: int

    @property
    def first(self) -> StoredRun:
        return self.runs[0]


@dataclass(frozen=True)
class Setting:
    """The groups that belong in one figure: same experiment, profile, protocol and data."""

    experiment: str
    profile: str
    protocol: str
    data: str
    groups: tuple[Group, ...]

    @property
    def stem(self) -> str:
        return "-".join((self.experiment, self.data, self.profile, self.protocol))

    @property
    def title(self) -> str:
        return f"{self.experiment} on {self.data} ({self.profile}, {self.protocol})"


def group_runs(runs: Sequence[StoredRun]) -> list[Setting]:
    """The finished of ``runs`` as figures; an encoding has the same look in all of them."""
    settings: dict[tuple[str, str, str, str], dict[str, list[StoredRun]]] = {}
    for run in runs:
        if run.state == "finished":
            keys = run.keys
            key = keys["experiment"], keys["profile"], keys["protocol"], keys["data"]
            settings.setdefault(key, {}).setdefault(keys["identity"], []).append(run)
    labeled = {key: _label(list(found.values())) for key, found in settings.items()}
    encodings = {run.keys["encoding"] for run in runs}
    labels = {label for found in labeled.values() for label in found}
    # Variants come last: else the looks of the encodings themselves would lie far apart, and repeat a color early.
    ordered = sorted(labels, key=lambda label: (label not in encodings, label))
    looks = {label: place for place, label in enumerate(ordered)}
    return [
        Setting(*key, tuple(Group(label, tuple(seeds), looks[label]) for label, seeds in sorted(found.items())))
        for key, found in sorted(labeled.items())
    ]


def _label(groups: Sequence[list[StoredRun]]) -> dict[str, list[StoredRun]]:
    """Each group under its encoding's name; of several with one encoding, the config keys that differ are named."""
    labeled: dict[str, list[StoredRun]] = {}
    for seeds in groups:
        encoding = seeds[0].keys["encoding"]
        twins = [other for other in groups if other[0].keys["encoding"] == encoding]
        label = encoding if len(twins) == 1 else f"{encoding} ({_apart(seeds[0], twins)})"
        labeled[label if label not in labeled else f"{label} {seeds[0].keys['identity']}"] = seeds
    return labeled


def _apart(run: StoredRun, twins: Sequence[list[StoredRun]]) -> str:
    configs = [flatten(seeds[0].config_or_nothing()) for seeds in twins]
    own = flatten(run.config_or_nothing())
    differing = [
        key
        for key in own
        if not is_place(key) and not key.startswith(_NAMES) and len({repr(config.get(key)) for config in configs}) > 1
    ]
    if not 0 < len(differing) <= SHOWN_KEYS:
        return run.keys["identity"]
    return ", ".join(f"{key.rpartition('.')[2]}={own[key]}" for key in differing)
