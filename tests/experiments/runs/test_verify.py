"""Verification finds what was edited, lost or misplaced, and says nothing of what is sound."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.runs.records import RunFolder
from experiments.runs.store import open_run
from experiments.runs.verification import problems
from experiments.util.files import FIELD
from tests.experiments.run_store import edit_record, write_run
from tests.experiments.runs.conftest import Command


@pytest.mark.parametrize("status", ["finished", "failed", "interrupted", "dead"])
def test_a_sound_run_has_no_problem_whatever_its_state(tmp_path: Path, command: Command, status: str) -> None:
    write_run(tmp_path, status=status)
    assert command("verify") == (0, "1 runs verified: all is well\n")


def test_a_run_that_starts_has_no_record_yet(tmp_path: Path, command: Command) -> None:
    folder = RunFolder(tmp_path / "runs" / "alm" / "rope-0123abcd" / "seed1")
    folder.checkpoints.mkdir(parents=True)
    with folder.lock():
        assert command("verify")[0] == 0
    assert command("verify")[0] == 1


def drop_config(folder: RunFolder) -> None:
    folder.config_path.unlink()


def change_config(folder: RunFolder) -> None:
    folder.config_path.write_text(folder.config_path.read_text().replace("learning_rate: 0.004", "learning_rate: 0.01"))


def break_config(folder: RunFolder) -> None:
    folder.config_path.write_text("{")


def drop_config_group(folder: RunFolder) -> None:
    folder.config_path.write_text("seed: 1\n")


def drop_record(folder: RunFolder) -> None:
    folder.record_path.unlink()


def break_record(folder: RunFolder) -> None:
    folder.record_path.write_text("{")


def drop_part(folder: RunFolder) -> None:
    record = json.loads(folder.record_path.read_text())
    del record["metrics"]
    folder.record_path.write_text(json.dumps(record))


def drop_checkpoints(folder: RunFolder) -> None:
    shutil.rmtree(folder.checkpoints)


def move(folder: RunFolder) -> None:
    folder.path.rename(folder.path.with_name("seed7"))


def edit_history(folder: RunFolder) -> None:
    folder.history_path.write_text(folder.history_path.read_text().replace('"loss": 4.0', '"loss": 3.5'))


def lengthen_history(folder: RunFolder) -> None:
    folder.append({"update": 99, "split": "train", "loss": 2.9})
    edit_record(folder, seal=True)


def drop_history(folder: RunFolder) -> None:
    folder.history_path.unlink()


def break_history(folder: RunFolder) -> None:
    folder.history_path.write_text("{}\n")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (drop_config, "config.yaml is missing"),
        (change_config, "one was edited"),
        (break_config, "cannot be read"),
        (drop_config_group, "identity cannot be computed"),
        (drop_record, "record.json is missing"),
        (break_record, "not a readable record"),
        (drop_part, "has no readable 'metrics'"),
        (drop_checkpoints, "checkpoint_best.pt is missing"),
        (move, "but lies in"),
        (edit_history, "changed after the record was closed"),
        (lengthen_history, "goes to update 99"),
        (drop_history, "has no row"),
        (break_history, "not a row of a history"),
        (lambda folder: edit_record(folder, metrics__test_loss=1.0), "record.json was edited"),
        (lambda folder: edit_record(folder, seal=True, metrics__valid_loss=1.0), "no validation .* came near"),
        (lambda folder: edit_record(folder, seal=True, metrics__test_perplexity=5.0), "its loss gives 22.198"),
        (lambda folder: edit_record(folder, seal=True, metrics__train_loss=1.0), "the history's last is 2.9"),
        (lambda folder: edit_record(folder, seal=True, run__identity="0123abcd"), "the record says 0123abcd"),
        (lambda folder: edit_record(folder, seal=True, run__seed=3), "config.yaml has seed 1, the record 3"),
    ],
)
def test_damage_is_found_and_named(
    tmp_path: Path, command: Command, damage: Callable[[RunFolder], Any], said: str
) -> None:
    write_run(tmp_path, encoding="none")
    damage(write_run(tmp_path, loss=3.0))
    code, text = command("verify")
    assert code == 1
    assert "2 runs verified: " in text
    assert "none-" not in text, "the other run is sound"
    assert re.search(said, text), text


def test_a_checksum_is_of_the_content_and_not_of_its_spelling(tmp_path: Path, command: Command) -> None:
    folder = write_run(tmp_path)
    record = json.loads(folder.record_path.read_text())
    folder.record_path.write_text(json.dumps(dict(reversed(record.items()))))
    assert command("verify")[0] == 0


def test_records_of_older_versions_stay_readable_and_are_counted(tmp_path: Path, command: Command) -> None:
    folder = write_run(tmp_path)
    record = json.loads(folder.record_path.read_text())
    del record[FIELD], record["history_sha256"]
    folder.record_path.write_text(json.dumps(record))
    code, text = command("verify")
    assert code == 0
    assert "1 records carry no checksum" in text


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return write_run(tmp_path_factory.mktemp("sound"))


values = st.one_of(st.none(), st.booleans(), st.integers(-10, 10), st.floats(-1e6, 1e6), st.text(max_size=5))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_change_of_any_value_in_a_record_is_found(sound: RunFolder, data: st.DataObject) -> None:
    text = sound.record_path.read_text()
    record = node = json.loads(text)
    while True:
        key: Any = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], dict | list) or not node[key]:
            break
        node = node[key]
    before = node[key]
    node[key] = data.draw(values.filter(lambda value: (type(value), value) != (type(before), before)))
    try:
        sound.record_path.write_text(json.dumps(record))
        assert list(problems(open_run(sound.path)))
    finally:
        sound.record_path.write_text(text)
