"""Words on a command line that a shell or hydra reads another way than the person meant."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from experiments.config.compose import compose
from experiments.config.overrides import unreadable
from experiments.util.errors import UserError


@pytest.mark.parametrize("value", ["a=b", "run (2)", "50%&more", "x#y", "it's", "a{b", "semi;colon", "(0.9)"])
def test_a_value_that_needs_quotes_is_shown_in_them(value: str, tmp_path: Path) -> None:
    word = f"paths.results={tmp_path}/{value}"
    try:
        config = compose([word])
    except UserError as error:
        message = str(error)
        assert "expected key=value" not in message
        assert "needs quotes" in message
        (quoted,) = shlex.split(message.rpartition(": ")[2].partition(";  ")[0])[:1]
        config = compose([quoted])
    assert config.paths.results == f"{tmp_path}/{value}"


def test_the_signs_at_fault_are_named_and_a_list_is_offered() -> None:
    assert "( )" in unreadable("paths.results=run (2)")
    assert "recipe.adam_betas=[0.9,0.98]" in unreadable("recipe.adam_betas=(0.9,0.98)")
    assert "expected key=value" in unreadable("nonsense")


@pytest.mark.parametrize("key", ["paths.results", "paths.data", "data.folder"])
def test_a_tilde_is_the_home_folder(key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    group, _, name = key.partition(".")
    assert compose([f"{key}=~/x"])[group][name] == f"{tmp_path}/x"
    monkeypatch.setenv("LRPE_RESULTS", "~/y")
    assert compose([]).paths.results == f"{tmp_path}/y"


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("attention.feature_map=elu1", "1+elu"),
        ("protocol.spe_axis=sequenc", "sequence"),
        ("protocol.image_axes=spit", "split"),
        ("encoding.name=ropes", "rope"),
        ("tracker.project='team/wikitext'", "tracker.entity=team"),
        ("tracker.project='a#b'", "tracker.project=a-b"),
        ("tracker.entity='a/b'", "tracker.entity=a-b"),
        (f"tracker.project={'x' * 129}", "128"),
    ],
)
def test_a_word_that_cannot_be_is_refused_with_one_that_can(word: str, named: str) -> None:
    with pytest.raises(UserError) as refused:
        compose([word])
    assert word.partition("=")[0] in str(refused.value)
    assert named in str(refused.value)
