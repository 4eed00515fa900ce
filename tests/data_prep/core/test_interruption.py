"""Killed, doubled, out of disk: a prepared folder is whole or absent, and the same command mends it."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.api import DataError, check, load_manifest, prepare
from tests.data_prep.support import ROOT, command, prepared_bytes, random_text, run, write_source


@pytest.fixture(scope="module")
def large_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some two million words: a second of work, so that there is a middle."""
    text = random_text(500) * 200
    return write_source(tmp_path_factory.mktemp("large"), train=text)


@pytest.fixture(scope="module")
def expected(large_source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("expected")
    return prepared_bytes(prepare("wikitext2", out, large_source, allow_other_counts=True))


def start(out: Path, source: Path) -> subprocess.Popen[str]:
    arguments = command("wikitext2", "--source", source, "--out", out, "--allow-other-counts")
    return subprocess.Popen(arguments, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, "the preparation ended before it could be interrupted"
        time.sleep(0.001)


def visible(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize("stage", ["counting", "writing"])
def test_killed_in_the_middle_then_started_again(
    tmp_path: Path, large_source: Path, expected: dict[str, bytes], stage: str
) -> None:
    with start(tmp_path, large_source) as process:
        partial = tmp_path / f"wikitext2.partial-{process.pid}"
        wait_for(partial.exists if stage == "counting" else (partial / "train.bin").exists, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert visible(tmp_path) == [partial.name]
    done = run("wikitext2", "--source", large_source, "--out", tmp_path, "--allow-other-counts")
    assert done.returncode == 0, done.stderr
    assert visible(tmp_path) == ["wikitext2"]
    assert prepared_bytes(tmp_path / "wikitext2") == expected
    check(tmp_path / "wikitext2")


def test_a_keyboard_interrupt_leaves_nothing_and_says_so(tmp_path: Path, large_source: Path) -> None:
    with start(tmp_path, large_source) as process:
        wait_for((tmp_path / f"wikitext2.partial-{process.pid}" / "train.bin").exists, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "wikitext2: interrupted; nothing was left behind, the same command starts again\n"
    assert visible(tmp_path) == []


def test_two_at_once_prepare_once(tmp_path: Path, large_source: Path, expected: dict[str, bytes]) -> None:
    processes = [start(tmp_path, large_source) for _ in range(2)]
    target = tmp_path / "wikitext2"
    while not target.exists():
        assert any(process.poll() is None for process in processes)
        time.sleep(0.001)
    first = target.stat().st_ino
    ends = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    assert target.stat().st_ino == first  # the second would have put its own folder there
    assert ends[0][0] == ends[1][0]
    assert prepared_bytes(target) == expected
    assert visible(tmp_path) == ["wikitext2"]


def test_left_behind_folders_of_dead_processes_go_and_of_living_ones_stay(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    out, source = tmp_path / "out", write_source(tmp_path / "source")
    for number in (dead.pid, os.getppid()):
        (out / f"wikitext2.partial-{number}").mkdir(parents=True)
    (out / f"wikitext2.other.partial-{dead.pid}").mkdir()
    prepare("wikitext2", out, source, allow_other_counts=True)
    kept = sorted([f"wikitext2.partial-{os.getppid()}", f"wikitext2.other.partial-{dead.pid}", "wikitext2"])
    assert visible(out) == kept


def test_killed_between_the_two_renames_the_old_data_comes_back(tmp_path: Path) -> None:
    out, source = tmp_path / "out", write_source(tmp_path / "source")
    folder = prepare("wikitext2", out, source, allow_other_counts=True)
    good = prepared_bytes(folder)
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    folder.rename(out / f"wikitext2.replaced-{dead.pid}")
    shutil.rmtree(source)
    with pytest.raises(DataError, match="no folder"):
        prepare("wikitext2", out, source, allow_other_counts=True, force=True)
    assert visible(out) == ["wikitext2"]
    assert prepared_bytes(folder) == good


def small_files_only() -> None:
    """Writing beyond 200 kB fails, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


def test_a_disk_that_fills_up_gives_one_message_and_leaves_nothing(tmp_path: Path, large_source: Path) -> None:
    arguments = command("wikitext2", "--source", large_source, "--out", tmp_path, "--allow-other-counts")
    done = subprocess.run(
        arguments, cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=small_files_only, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr == f"error: cannot write {tmp_path}/wikitext2: File too large; nothing was left behind\n"
    assert visible(tmp_path) == []


def test_a_failed_repetition_keeps_the_old_data(tmp_path: Path) -> None:
    out, source = tmp_path / "out", write_source(tmp_path / "source")
    folder = prepare("wikitext2", out, source, allow_other_counts=True)
    before = load_manifest(folder)
    (source / "wiki.train.tokens").write_bytes(b"a\0")
    with pytest.raises(DataError, match="NUL"):
        prepare("wikitext2", out, source, allow_other_counts=True, force=True)
    assert load_manifest(folder) == before
    assert visible(out) == ["wikitext2"]


@pytest.mark.parametrize("place", ["/proc/nowhere", "file"])
def test_a_place_that_cannot_be_written_gives_one_message(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / place if place == "file" else Path(place)
    with pytest.raises(DataError, match=rf"cannot write {out}/wikitext2: .*nothing was left behind"):
        prepare("wikitext2", out, write_source(tmp_path / "source"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_gives_one_message(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    with pytest.raises(DataError, match=r"cannot write .*Permission denied"):
        prepare("wikitext2", out, write_source(tmp_path / "source"))


def test_a_disk_that_is_too_small_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
    with pytest.raises(DataError, match=r"has 1 MiB free and the preparation needs about 32 MiB"):
        prepare("wikitext2", tmp_path / "out", write_source(tmp_path / "source"), allow_other_counts=True)
    assert visible(tmp_path / "out") == []
