"""The two protocols side by side: every setting in which they differ, and nothing else.

The tables are the specification: pairs of what published and controlled have.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from experiments.engine import optimizer  # noqa: F401 - registers itself
from experiments.engine.families import family_of
from experiments.engine.translate import fairseq_config
from tests.experiments.config.conftest import Composed
from tests.experiments.engine.support import ONE

PROTOCOLS = ("published", "controlled")
FAMILIES = ("alm", "blm", "glue", "imagenet")
Pair = tuple[Any, Any]

SWITCHES: dict[str, Pair] = {
    "protocol.absolute": ("learned", "none"),
    "protocol.adam_epsilon": ("before_correction", "after_correction"),
    "protocol.decay_angles": (True, False),
    "protocol.first_position": (2, 0),
    "protocol.image_axes": ("shared", "own"),
    "protocol.image_schedule": ("cosine_per_epoch", "cosine"),
    "protocol.mask_padding": (False, True),
    "protocol.name": PROTOCOLS,
    "protocol.permutation_limit": (512, None),
    "protocol.permuteformer_decay": ("one_sided", "distance"),
    "protocol.permuteformer_permutation": ("fixed", "per_head"),
    "protocol.spe_axis": ("batch", "sequence"),
    "protocol.spe_resample": ("always", "train"),
}
IMAGE_MODEL: dict[str, Pair] = {
    "absolute_std": (1.0, 0.02),
    "denominator_eps": (1e-4, 1e-6),
    "denominator_from": ("plain", "encoded"),
    "drop_path_schedule": ("constant", "linear"),
    "initialization": ("torch", "truncated_normal"),
    "norm_eps": (1e-5, 1e-6),
    "query_bias": (False, True),
}
SWITCHES_OF: dict[str, dict[str, Pair]] = {
    "alm": SWITCHES | {"protocol.absolute": ("sinusoidal", "none")},
    "blm": SWITCHES,
    "glue": SWITCHES,
    "imagenet": {key: pair for key, pair in SWITCHES.items() if key != "protocol.adam_epsilon"}
    | {f"model.{key}": pair for key, pair in IMAGE_MODEL.items()}
    | {"recipe.schedule": ("cosine_per_epoch", "cosine")},
}
# What of fairseq's config differs, apart from its model.
EPSILON: dict[str, Pair] = {"optimizer.epsilon": ("before_correction", "after_correction")}


def passes(published: int, controlled: int, freq: Pair) -> dict[str, Pair]:
    """Sequences that share a pass, where padded keys count and so which ones do."""
    size = (published, controlled)
    return {"dataset.batch_size": size, "dataset.batch_size_valid": size, "optimization.update_freq": freq}


ENGINE: dict[str, dict[str, Pair]] = {
    "alm": EPSILON,
    "blm": EPSILON | passes(4, 8, ([128], [64])),
    "glue": EPSILON | passes(16, 8, ([1], [2])),
    "imagenet": {"lr_scheduler._name": ("cosine_per_epoch", "cosine")},
}
# What of the library's model config differs, under an LRPE encoding.
TEXT_MODEL: dict[str, Pair] = {"absolute": ("learned", "none"), "first_position": (2, 0), "mask_padding": (False, True)}
MODEL: dict[str, dict[str, Pair]] = {
    "alm": TEXT_MODEL | {"absolute": ("sinusoidal", "none")},
    "blm": TEXT_MODEL,
    "glue": TEXT_MODEL,
    "imagenet": {"absolute": ("learned", "none"), "encoding.axes": ("shared", "own"), **IMAGE_MODEL},
}
# What another row changes of it; None: the same under both protocols.
NORMALIZER = {"normalizer": ("denominator", "layernorm")}
RESAMPLE = {"encoding.resample": ("always", "train")}
ROWS: dict[tuple[str, str], dict[str, Pair | None]] = {
    ("alm", "none"): NORMALIZER | {"absolute": None},
    ("alm", "absolute"): NORMALIZER | {"absolute": None},
    ("alm", "rope"): NORMALIZER,
    ("alm", "spe"): NORMALIZER | RESAMPLE | {"encoding.axis": ("batch", "sequence")},
    ("blm", "permuteformer"): NORMALIZER
    | {"encoding.permutation": ("fixed", "per_head"), "encoding.decay_direction": ("one_sided", "distance")},
    ("alm", "lrpe_permutation"): {},
    ("imagenet", "none"): NORMALIZER | {"absolute": None, "encoding.axes": None},
    ("imagenet", "rope"): NORMALIZER,
    ("imagenet", "spe"): NORMALIZER | RESAMPLE,
    ("imagenet", "permuteformer"): NORMALIZER
    | {"encoding.permutation": ("fixed", "per_head"), "encoding.decay_direction": ("one_sided", "distance")},
}


def flat(mapping: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def differences(published: Mapping[str, Any], controlled: Mapping[str, Any]) -> dict[str, Pair]:
    pair = dict(flat(published)), dict(flat(controlled))
    keys = pair[0].keys() | pair[1].keys()
    return {key: (pair[0].get(key), pair[1].get(key)) for key in keys if pair[0].get(key) != pair[1].get(key)}


def switches(config: Any) -> dict[str, Any]:
    """All of a config but the groups' choices between the protocols, which their switches show."""
    plain: dict[str, Any] = OmegaConf.to_container(config)  # type: ignore[assignment]
    for group in ("model", "encoding"):
        for protocol in PROTOCOLS:
            plain[group].pop(protocol, None)
    return plain


def engine(config: Any) -> dict[str, Any]:
    sections: dict[str, Any] = OmegaConf.to_container(fairseq_config(config, Path("run"), ONE))  # type: ignore[assignment]
    return {name: section for name, section in sections.items() if name != "model" and section is not None}


def library_config(config: Any) -> dict[str, Any]:
    with torch.device("meta"):
        model = family_of(config).build(config)
    (found,) = [
        module.config for module in model.modules() if dataclasses.is_dataclass(getattr(module, "config", None))
    ]
    return vars(found)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_switches_that_differ(composed: Composed, family: str) -> None:
    found = differences(*(switches(composed(family, protocol)) for protocol in PROTOCOLS))
    assert found == SWITCHES_OF[family]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_engine_does_another_way(composed: Composed, family: str) -> None:
    found = differences(*(engine(composed(family, protocol)) for protocol in PROTOCOLS))
    # a schedule's own settings come with its name
    found = {key: pair for key, pair in found.items() if not key.startswith("lr_scheduler.") or key.endswith("._name")}
    assert found == ENGINE[family]


@pytest.mark.parametrize(
    ("family", "encoding"), [*((family, "lrpe_orthogonal") for family in FAMILIES), *ROWS], ids=str
)
def test_what_a_model_is_built_with(composed: Composed, family: str, encoding: str) -> None:
    found = differences(*(library_config(composed(family, protocol, encoding)) for protocol in PROTOCOLS))
    expected = MODEL[family] | ROWS.get((family, encoding), {})
    assert found == {key: pair for key, pair in expected.items() if pair is not None}


@pytest.mark.parametrize("family", ["alm", "imagenet"])
def test_a_run_reports_the_order_of_a_permutation_that_is_known_beforehand(composed: Composed, family: str) -> None:
    described = family_of(config := composed(family, "published", "permuteformer")).describe(config)
    assert described["permutation"] == {"order": 220, "permuted alike": "positions 220 apart"}
    for protocol, encoding in (("controlled", "permuteformer"), ("published", "lrpe_permutation")):
        config = composed(family, protocol, encoding)
        assert "permutation" not in family_of(config).describe(config), "drawn from the run's seed, layer by layer"


def test_the_documented_table_names_every_switch(root: Path) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((root / "docs").glob("protocols*.md")))
    keys = {key for switched in SWITCHES_OF.values() for key in switched} - {"protocol.name"}
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []
