"""Configs and manifests as flat keys, stored once where runs share them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.dashboard.settings import difference_table, manifest_settings, read_config
from experiments.util.errors import UserError
from experiments.util.files import flatten

VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.integers())


@given(st.lists(st.dictionaries(st.text(min_size=1), VALUES, max_size=6), max_size=8))
def test_the_table_and_the_differences_give_every_setting_back(settings: list[dict[str, Any]]) -> None:
    table, differences = difference_table(settings)
    for one, difference in zip(settings, differences, strict=True):
        found = {}
        for number, (key, values) in enumerate(table.items()):
            index = difference.get(number, 0)
            if index >= 0:
                found[key] = values[index]
        assert found == one
        assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in one.items()}


def test_runs_that_share_a_value_store_nothing_for_it() -> None:
    table, differences = difference_table([{"a": 1, "seed": seed} for seed in (1, 2, 2)])
    assert table == {"a": [1], "seed": [2, 1]}
    assert differences == [{1: 1}, {}, {}]


def test_true_and_one_are_different_settings() -> None:
    table, _ = difference_table([{"a": True}, {"a": 1}])
    assert table["a"] == [True, 1]
    assert [type(value) for value in table["a"]] == [bool, int]


def test_nested_keys_are_joined_and_lists_stay() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": []}, "e": {}}) == {"a.b.c": 1, "a.d": [], "e": {}}


def test_a_manifest_leaves_out_prose_and_single_checksums() -> None:
    manifest = {
        "command": ["train.py", "encoding.options={a: 1}"],
        "git": {"commit": "abc", "dirty": False},
        "data": {"identity": "d1", "files": {"train.bin": {"sha256": "x"}}},
        "not_guaranteed": "Bit-identical ...",
    }
    assert manifest_settings(manifest) == {
        "manifest.command": "train.py 'encoding.options={a: 1}'",
        "manifest.git.commit": "abc",
        "manifest.git.dirty": False,
        "manifest.data.identity": "d1",
    }


@pytest.mark.parametrize("text", ["a: [", "- a\n- b\n", "a: \x00"])
def test_a_config_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml"):
        read_config(tmp_path / "config.yaml")


def test_a_missing_config_has_no_settings(tmp_path: Path) -> None:
    assert read_config(tmp_path / "config.yaml") == {}
