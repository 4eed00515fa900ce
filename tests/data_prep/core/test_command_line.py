"""Every data set is one command: its summary on standard output, one message for what a person has to mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.api import DATASETS
from data_prep.core.command_line import build_parser, main
from tests.data_prep.support import run, write_source


def exit_code(name: str, *arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        main(name, [str(argument) for argument in arguments])
    return caught.value.code


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_explains_its_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(name, "--help") == 0
    text = capsys.readouterr().out
    assert f"python -m data_prep.{name}" in text
    assert ("--source" in text) == (not name.startswith("pydoc") and name != "digits")
    assert ("--bpe" in text) == ("--train-bpe" in text) == (name in ("wikitext2_bpe", "wikitext103_bpe"))


def test_the_module_runs_and_sums_up(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source")
    done = run("wikitext2", "--source", source, "--out", tmp_path, "--allow-other-counts")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == str(tmp_path / "wikitext2")
    assert "vocabulary 8 (3 words), counts: other" in lines[1]
    assert lines[2].split() == ["train", "9", "tokens", "3", "lines", "11.11", "%", "<unk>"]


def test_bad_data_is_one_message_without_a_traceback(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", train=b"a\n\xff\n")
    done = run("wikitext2", "--source", source, "--out", tmp_path / "out", "--allow-other-counts")
    assert (done.returncode, done.stdout) == (2, "")
    message = f"error: {source}/wiki.train.tokens, line 2: invalid UTF-8 (byte 0xff); the file is damaged or not plain "
    assert done.stderr == message + "UTF-8 text\n"


def test_bad_options_exit_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("wikitext2", "--sorce", tmp_path) == 2
    assert exit_code("pydoc", "--source", tmp_path) == 2
    assert exit_code("wikitext2", "--source", tmp_path / "nowhere", "--out", tmp_path / "out") == 2
    assert "error: no folder" in capsys.readouterr().err


def test_options_are_those_of_prepare() -> None:
    options = vars(build_parser("wikitext103_bpe").parse_args([]))
    assert set(options) == {"out", "source", "revision", "bpe", "train_bpe", "allow_other_counts", "force"}
