"""Settings that nothing reads: no part of an identity, and refused where they are given."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from experiments.config import compose, compose_row
from experiments.config.effect import HANDED_ON, WITHOUT_EFFECT, unread
from experiments.config.identity import scientific_part
from experiments.engine.families.imagenet.encoding import image_options
from experiments.tables.plan import make_plan, resolve_config
from experiments.tables.request import Request
from experiments.tables.spec import load_table
from experiments.util.errors import UserError
from lrpe.encodings import build_encoding, encoding_class, encoding_options

FAMILIES = ("alm", "blm", "glue", "imagenet")
ENCODINGS = ("none", "absolute", "rope", "spe", "permuteformer", "lrpe_permutation", "lrpe_orthogonal")


def plain_of(config: DictConfig) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(config)
    return plain


@pytest.mark.parametrize(
    ("words", "reader"),
    [
        (["encoding=rope", "protocol.spe_axis=batch"], "takes its value from it"),
        (["encoding=spe", "encoding.options.axis=sequence", "protocol.spe_axis=batch"], "takes its value from it"),
        (["experiment.absolute=learned"], "takes its value from it"),
        (["experiment=imagenet", "model.published.norm_eps=1e-3"], "takes its value from it"),
        (["experiment=glue", "task.learning_rate=1e-3"], "takes its value from it"),
        (["attention=softmax", "attention.feature_map=relu"], "attention=linear"),
        (["model.max_positions=100"], "protocol.absolute=learned"),
        (["encoding=rope", "protocol.permutation_limit=100"], "permutations"),
        (["encoding.options.max_length=100"], "angle_schedule=uniform"),
        (["encoding=lrpe_permutation", "encoding.options.angle_schedule=uniform"], "a core with angles"),
        (["encoding=spe", "encoding.options.kind=conv", "encoding.options.num_sines=3"], "kind=sine"),
        (["experiment=imagenet", "encoding=permuteformer", "encoding.options.decay=false"], "images"),
        (["experiment=imagenet", "recipe.crop_scale=0.5"], "recipe.crop=resized"),
        (["experiment=blm", "recipe.warmup_init_learning_rate=1e-5"], "polynomial_decay"),
    ],
    ids=str,
)
def test_a_setting_that_nothing_reads_is_refused(words: list[str], reader: str) -> None:
    key = words[-1].partition("=")[0]
    with pytest.raises(UserError, match=f"'{key}' has no effect here: .*{reader}"):
        compose(words)


@pytest.mark.parametrize(
    "words",
    [
        ["encoding=spe", "protocol.spe_axis=batch"],
        ["encoding=absolute", "experiment.absolute=learned"],
        ["experiment=imagenet", "model.controlled.norm_eps=1e-3"],
        ["experiment=glue", "profile=paper", "task=rte", "task.learning_rate=1e-3"],
        ["experiment=blm", "encoding=rope", "protocol.mask_padding=false", "recipe.samples_per_pass=2"],
        ["recipe.samples_per_pass=2"],
        ["experiment=imagenet", "recipe.epochs=3", "recipe.max_update=10", "recipe.warmup_updates=2"],
        ["experiment=glue", "pretraining.start=scratch", "pretraining.recipe.max_update=5"],
        ["encoding.options.angle_schedule=uniform", "encoding.options.max_length=100"],
    ],
    ids=str,
)
def test_the_same_settings_are_taken_where_something_reads_them(words: list[str]) -> None:
    compose(words)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_nothing_reads_is_in_no_identity(family: str, encoding: str) -> None:
    """Changed one by one, by a value that each type has."""
    config = compose([f"experiment={family}", f"encoding={encoding}"])
    plain = plain_of(config)
    before = scientific_part(plain, "data")
    changed = 0
    for key in (*unread(plain), *HANDED_ON, *WITHOUT_EFFECT):
        if OmegaConf.is_dict(OmegaConf.select(config, key)) or OmegaConf.select(config, key, default=None) is None:
            continue
        other = OmegaConf.create(plain)
        value = OmegaConf.select(config, key)
        OmegaConf.update(other, key, value + 1 if isinstance(value, int | float) else f"{value}x")
        assert scientific_part(plain_of(other), "data") == before, key
        changed += 1
    assert changed >= 10


def test_every_option_is_read_or_named_as_unread() -> None:
    """What is dropped from an identity builds the same encoding: same outputs, from the same seed."""
    cases = {
        "lrpe": [
            {"core": "permutation", "angle_schedule": "uniform", "max_length": 9},
            {"core": "orthogonal", "projection": "identity", "seed": 5, "share_heads": False},
            {"core": "unitary", "projection": "dct", "max_length": 7},
        ],
        "permuteformer": [{"decay": False, "decay_direction": "one_sided"}],
        "spe": [{"kind": "sine", "kernel_size": 3}, {"kind": "conv", "num_sines": 3}],
    }
    x = torch.randn(2, 2, 5, 8, dtype=torch.float64)
    for name, settings in cases.items():
        for options in settings:
            idle = encoding_class(name).unread_options({**encoding_options(name), **options})
            assert set(options) & set(idle), options
            outputs = []
            for chosen in (options, {key: value for key, value in options.items() if key not in idle}):
                torch.manual_seed(3)
                encoding = build_encoding(name, head_dim=8, num_heads=2, **{"seed": 1, **chosen})
                outputs.append((encoding.eval()(x, x), encoding.log_decay))
            (first, decay), (second, other) = outputs
            assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
            assert (decay is None) == (other is None)


def test_a_table_takes_what_one_of_its_rows_reads_and_refuses_what_none_does() -> None:
    spec = load_table("alm")
    request = Request("alm", rows=("rope", "spe"), overrides=("protocol.spe_resample=always",))
    given = {
        job.row.key: "protocol.spe_resample=always" in job.overrides
        for job in make_plan(spec, request, resolve_config).jobs
    }
    assert given == {"rope": False, "spe": True}, "a row's command has only what the row reads"
    none = Request("alm", rows=("rope", "none"), overrides=("protocol.spe_resample=always",))
    with pytest.raises(UserError, match="'protocol.spe_resample' has no effect here"):
        make_plan(spec, none, resolve_config)


@pytest.mark.parametrize("encoding", ["none", "rope", "spe"])
def test_models_without_effect_of_a_setting_are_the_same_model(encoding: str) -> None:
    """``image_axes`` beside an encoding without axes, and of one with them."""
    config = compose(["experiment=imagenet", f"encoding={encoding}"])
    other = OmegaConf.create(plain_of(config))
    other.protocol.image_axes = "shared"
    assert (image_options(config) == image_options(other)) == ("protocol.image_axes" in unread(plain_of(config)))


def test_compose_row_names_what_it_leaves() -> None:
    assert list(compose_row(["encoding=rope", "protocol.spe_axis=batch"])[1]) == ["protocol.spe_axis"]
