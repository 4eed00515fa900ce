"""``python -m data_prep.glue``: one task or all, one message for what a person has to mend."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from data_prep import glue
from data_prep.api import TASKS
from data_prep.sentence_tasks.catalog import GLUE
from tests.data_prep.support import ROOT, command, run

from .support import HEADERS, SENTENCES, row, write_task


def exit_code(*arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        glue.main([str(argument) for argument in arguments])
    return caught.value.code


def test_the_module_runs_and_sums_up(tmp_path: Path, tokens: Path) -> None:
    source = write_task(tmp_path / "glue", "rte")
    done = run(
        "glue", "--task", "rte", "--tokens", tokens, "--source", source, "--out", tmp_path, "--allow-other-counts"
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == str(tmp_path / "glue" / "wikitext2" / "rte")
    assert "pairs, labels entailment, not_entailment; tokens of wikitext2, counts: other" in lines[1]
    assert lines[2].split()[:3] == ["train", "6", "rows"]


def test_all_prepares_what_is_there_and_names_what_is_not(
    tmp_path: Path, tokens: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in GLUE:
        write_task(tmp_path / "glue", name)
    shutil.rmtree(tmp_path / "glue" / "QNLI")
    options = ["--tokens", tokens, "--source", tmp_path / "glue", "--out", tmp_path / "out", "--allow-other-counts"]
    assert exit_code("--task", "all", *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: missing {tmp_path}/glue/QNLI/train.tsv")
    prepared = {path.name for path in (tmp_path / "out" / "glue" / "wikitext2").iterdir() if path.is_dir()}
    assert prepared == set(GLUE) - {"qnli"}
    write_task(tmp_path / "glue", "qnli")
    assert exit_code("--task", "all", *options) == 0


def test_all_gives_up_at_once_where_the_hub_does_not_answer(
    tmp_path: Path, tokens: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("--task", "all", "--tokens", tokens, "--out", tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: cannot get nyu-mll/glue (cola)")


def test_an_embedded_task_is_written_as_files_too(
    tmp_path: Path, pydoc_bpe: Path, embedded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--tokens", pydoc_bpe, "--out", embedded, "--write-tsv", tmp_path]
    assert exit_code("--task", "pydoc_order", *options) == 0
    assert str(tmp_path / "pydoc_order" / "dev.tsv") in capsys.readouterr().out
    header, first, *_ = (tmp_path / "pydoc_order" / "dev.tsv").read_text(encoding="utf-8").split("\n")
    assert (header, first[0]) == ("index\tsentence\tlabel", "0")


def test_bad_options_exit_with_2(tmp_path: Path, tokens: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--task", "colla", "--tokens", tokens) == 2
    assert exit_code("--task", "cola") == 2
    assert exit_code("--task", "cola", "--tokens", tmp_path / "nowhere") == 2
    assert "nowhere holds no prepared data" in capsys.readouterr().err
    write_task(tmp_path / "glue", "cola")
    options = ["--tokens", tokens, "--source", tmp_path / "glue", "--out", tmp_path, "--allow-other-counts"]
    assert exit_code("--task", "cola", *options, "--write-tsv", tmp_path) == 2
    assert "cola has files of its own" in capsys.readouterr().err


def test_help_names_every_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert ", ".join(TASKS) in text


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_the_middle_then_started_again(tmp_path: Path, tokens: Path, kill: signal.Signals) -> None:
    lines = [row("rte", "train", at, SENTENCES[at % 2 : at % 2 + 2], ("entailment", "not_entailment")[at % 2])
             for at in range(200)]  # fmt: skip
    source = write_task(tmp_path / "glue", "rte", train=f"{HEADERS['rte'][0]}\n" + "".join(lines) * 400)
    arguments = ["--task", "rte", "--tokens", tokens, "--source", source, "--out", tmp_path, "--allow-other-counts"]
    place = tmp_path / "glue" / "wikitext2"
    with subprocess.Popen(command("glue", *arguments), cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        begun = place / f"rte.partial-{process.pid}" / "input1" / "train.bin"
        while not begun.exists():
            assert process.poll() is None, "the preparation ended before it could be interrupted"
            time.sleep(0.001)
        process.send_signal(kill)
        _, errors = process.communicate(timeout=60)
    left = [path.name for path in place.iterdir() if not path.name.startswith(".")]
    if kill == signal.SIGINT:
        assert process.returncode == 130
        assert errors == "glue: interrupted; whole tasks stay, the same command goes on with the others\n"
        assert left == []
    else:
        assert left == [f"rte.partial-{process.pid}"]
    done = run("glue", *arguments)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in place.iterdir() if not path.name.startswith(".")] == ["rte"]
