"""The command line: every mistake is one message that names the key and the nearest valid choice."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from experiments.config import check_overrides, compose, compose_row, groups, identity, run_directory, scientific
from experiments.config.compose import apply, read_words
from experiments.config.groups import CONF
from experiments.util.errors import UserError
from tests import entry_points

ENCODINGS = groups.options_of("encoding")


@pytest.fixture(autouse=True)
def _prepared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A data folder whose manifest is all that an identity reads."""
    monkeypatch.setenv("LRPE_DATA", str(tmp_path))
    monkeypatch.setenv("LRPE_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(sys.modules["experiments.config.identity"], "data_identity", lambda config: "d" * 64)


@pytest.mark.parametrize("profile", ["demo", "laptop", "small", "paper"])
@pytest.mark.parametrize("protocol", ["published", "controlled"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_combination_composes(profile: str, protocol: str, encoding: str) -> None:
    config = compose([f"profile={profile}", f"protocol={protocol}", f"encoding={encoding}"])
    assert config.encoding.label == encoding
    assert config.protocol.name == protocol


@pytest.mark.parametrize(
    ("overrides", "key", "remedy"),
    [
        (["encodng=rope"], "encodng", "encoding"),
        (["encoding=rop"], "encoding=rop", "'rope'"),
        (["encoding=rope,lrpe_unitry"], "lrpe_unitry", "'lrpe_unitary'"),
        (["profile=papr"], "papr", "'paper'"),
        (["=4"], "=4", "key=value"),
        (["model.normalize_before=2"], "model.normalize_before=2", "true or false"),
        (["recipe.adam_eps=-1"], "recipe.adam_eps=-1", "at least 0"),
        ([f"recipe.max_update={'9' * 40}"], "recipe.max_update=999", "at most 4294967295"),
        (["model.num_layers=5000"], "model.num_layers=5000", "at most 1000"),
        (["paths.results=''"], "paths.results", "empty"),
        (["tracker=wandbb"], "wandbb", "'wandb'"),
        (["recipe.learning_rat=1"], "learning_rat", "recipe.learning_rate"),
        (["encoding.options.projetcion=dct"], "projetcion", "encoding.options.projection"),
        (["model.num_layers=six"], "model.num_layers=six", "a whole number"),
        (["recipe.precision=fp8"], "recipe.precision", "bf16"),
        (["protocol.normalizer=batchnorm"], "protocol.normalizer", "layernorm"),
        (["recipe.learning_rate=-1"], "recipe.learning_rate", "at least 0"),
        (["recipe.learning_rate=nan"], "recipe.learning_rate", "at least 0"),
        (["recipe.max_update=0"], "recipe.max_update", "at least 1"),
        (["model.dropout=1.5"], "model.dropout", "below 1"),
        (["model.num_heads=3"], "model.num_heads=3", "model.embed_dim=128"),
        (["recipe.context_window=256"], "recipe.context_window", "tokens_per_sample"),
        (["recipe.adam_betas=[0.9]"], "recipe.adam_betas", "two numbers"),
        (["attention.name=quadratic"], "attention.name", "softmax"),
        (["encoding=absolute_learned", "recipe.tokens_per_sample=1024"], "tokens_per_sample=1024", "max_positions"),
        (
            ["encoding=lrpe_permutation", "protocol=published", "recipe.tokens_per_sample=1024"],
            "tokens_per_sample=1024",
            "protocol=controlled",
        ),
        (["seed="], "seed=", "a whole number"),
        (["model=decoder_base", "model"], "model", "key=value"),
        (["~encoding"], "encoding", "cannot be left out"),
        (["model={a: 1}"], "model", "decoder_base"),
        (["~engine.device"], "~engine.device", "another value"),
        (["+seed=2"], "+seed=2", "leave out the +"),
        (["engine.fairseq.common.fp16=true"], "engine.fairseq.common.fp16", "+"),
        (["preset=blm_demo"], "recipe.mask_probability", "preset"),
        (["++encoding=rope"], "++encoding=rope", "leave out the +"),
        (["recipe.adam_betas=0.9"], "recipe.adam_betas=0.9", "a list of numbers"),
        (["recipe.x=["], "recipe.x=[", "needs quotes"),
    ],
)
def test_a_mistake_names_the_key_and_the_remedy(overrides: list[str], key: str, remedy: str) -> None:
    with pytest.raises(UserError) as caught:
        compose(overrides)
    message = str(caught.value)
    assert key in message
    assert remedy in message
    assert "\n" not in message


def test_sweeps_are_checked_without_being_run() -> None:
    check_overrides(["encoding=glob(lrpe_*)", "seed=1,2,3", "recipe.learning_rate=1e-3,2e-3", "hydra/launcher=joblib"])
    with pytest.raises(UserError, match="matches none"):
        check_overrides(["encoding=glob(rlpe_*)"])


@pytest.mark.parametrize(
    "overrides",
    [
        ["encoding=spe", "protocol=published", "seed=3"],
        ["experiment=glue", "task=rte", "recipe.learning_rate=1e-3", "recipe.adam_betas=[0.8,0.9]"],
        ["+encoding.options.new={a: 1}", "~encoding.options.projection", "recipe.max_update=null", "seed=3"],
        ["+engine.fairseq.common.fp16=true", "attention.feature_map_options={}", "seed=1", "seed=2"],
    ],
)
def test_keys_that_are_set_in_the_groups_config_are_as_hydra_sets_them(overrides: list[str]) -> None:
    config, keys = read_words(overrides, sweeping=False)
    for override in keys:
        apply(override, config)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert config == hydra_compose("train", overrides=overrides)


def test_a_run_is_composed_once_and_runs_that_differ_in_keys_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    composed: list[str] = []
    original = groups.compose
    monkeypatch.setattr(groups, "compose", lambda *words, **named: composed.append("") or original(*words, **named))
    groups._compose.cache_clear()
    for seed in (1, 2):
        compose(["encoding=rope", f"seed={seed}", f"recipe.learning_rate={seed}e-3"])
        assert len(composed) == 1
    assert compose(["encoding=rope"]).seed == 1


PROTOCOLS = {
    # row: (normalizer, absolute positions) under published, and under controlled
    "none": (("denominator", "none"), ("layernorm", "none")),
    "absolute": (("denominator", "sinusoidal"), ("layernorm", "sinusoidal")),
    "absolute_learned": (("denominator", "learned"), ("layernorm", "learned")),
    "rope": (("denominator", "sinusoidal"), ("layernorm", "none")),
    "spe": (("denominator", "sinusoidal"), ("layernorm", "none")),
    "spe_conv": (("denominator", "sinusoidal"), ("layernorm", "none")),
    "permuteformer": (("denominator", "sinusoidal"), ("layernorm", "none")),
    **{row: (("layernorm", "sinusoidal"), ("layernorm", "none")) for row in ENCODINGS if row.startswith("lrpe")},
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_protocols_decide_normalizer_and_absolute_positions(encoding: str) -> None:
    for protocol, expected in zip(("published", "controlled"), PROTOCOLS[encoding], strict=True):
        chosen = compose([f"encoding={encoding}", f"protocol={protocol}"]).protocol
        assert (chosen.normalizer, chosen.absolute) == expected


def test_protocols_pin_the_other_switches() -> None:
    published = compose(["protocol=published", "encoding=spe"])
    controlled = compose(["protocol=controlled", "encoding=spe"])
    rest = {key: (published.protocol[key], controlled.protocol[key]) for key in published.protocol}
    for decided in ("name", "normalizer", "absolute"):
        del rest[decided]
    assert rest == {
        "spe_axis": ("batch", "sequence"),
        "spe_resample": ("always", "train"),
        "permuteformer_permutation": ("fixed", "per_head"),
        "first_position": (2, 0),
        "adam_epsilon": ("before_correction", "after_correction"),
        "decay_angles": (True, False),
        "mask_padding": (False, True),
        "image_axes": ("shared", "own"),
        "image_schedule": ("cosine_per_epoch", "cosine"),
        "permuteformer_decay": ("one_sided", "distance"),
        "permutation_limit": (512, None),
    }
    assert published.encoding.options.axis == "batch"
    assert controlled.encoding.options.axis == "sequence"
    assert compose(["protocol=published", "encoding=permuteformer"]).encoding.options.permutation == "fixed"


def test_one_difference_of_a_protocol_is_its_own_override() -> None:
    config = compose(["protocol=controlled", "encoding=rope", "protocol.normalizer=denominator"])
    assert config.protocol.normalizer == "denominator"
    assert config.protocol.absolute == "none"


def test_identity_is_the_science_and_nothing_else(tmp_path: Path) -> None:
    base = compose(["encoding=rope"])
    same = (
        ["seed=7"],
        ["tracker=disabled"],
        [f"paths.results={tmp_path}"],
        ["engine.num_workers=3", "engine.threads=1", "engine.device=cpu", "engine.samples_per_device=2"],
        ["profile=demo"],
    )
    for overrides in same:
        assert identity(compose(["encoding=rope", *overrides])) == identity(base)
    other = (
        ["encoding=none"],
        ["recipe.learning_rate=1e-3"],
        ["model.num_layers=3"],
        ["protocol.normalizer=rmsnorm"],
        ["attention.feature_map=relu"],
        ["+engine.fairseq.common.fp16_init_scale=4"],
    )
    identities = {identity(compose(["encoding=rope", *overrides])) for overrides in other}
    assert len(identities | {identity(base)}) == len(other) + 1
    assert "seed" not in scientific(base)


def test_the_same_switches_by_another_way_are_the_same_run() -> None:
    by_name = compose(["encoding=lrpe_unitary", "protocol=published"])
    switches = [
        f"protocol.{key}={'null' if value is None else value}"
        for key, value in by_name.protocol.items()
        if key != "name"
    ]
    assert identity(compose_row(["encoding=lrpe_unitary", *switches])[0]) == identity(by_name)


def test_a_run_folder_names_experiment_encoding_and_seed(tmp_path: Path) -> None:
    config = compose(["encoding=rope", "seed=3"])
    assert run_directory(config) == tmp_path / "results" / "runs" / "alm" / f"rope-{identity(config)}" / "seed3"


@pytest.mark.parametrize("arguments", [["encodng=rope"], ["data=wikitext2"], ["encoding=lrpe_unitary", "seed=-1"]])
def test_the_entry_point_says_one_thing_and_leaves_nothing(arguments: list[str], root: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    words = [*arguments, f"paths.data={tmp_path}/nowhere"]
    done = entry_points.run("experiments.train", words, root, os.environ, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "results").exists()
    assert time.monotonic() - started < 15
