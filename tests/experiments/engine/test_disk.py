"""Room for a run is asked for before it starts, and a disk that fails is one message."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments.engine.disk import bytes_below, bytes_needed, check_space, written_below
from experiments.util.errors import UserError, exit_on_user_error


def test_a_file_of_two_names_takes_room_once(tmp_path: Path) -> None:
    (tmp_path / "checkpoint_1_4.pt").write_bytes(bytes(1 << 16))
    os.link(tmp_path / "checkpoint_1_4.pt", tmp_path / "checkpoint_last.pt")
    assert bytes_below(tmp_path) == 1 << 16
    assert bytes_below(tmp_path / "absent") == 0


def test_one_checkpoint_more_is_kept_for_one_checkpoint_more_room() -> None:
    one, two, three = (bytes_needed(1 << 30, keep, rows=100) for keep in (1, 2, 3))
    assert two - one == three - two
    assert 1 << 30 < two - one < 1.01 * 2**30
    assert one > 4 << 30, "the best, the last, the one kept and the one that is being written"


def test_what_is_written_already_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 20))
    with pytest.raises(UserError, match=f"{tmp_path} has .*make room.*LRPE_RESULTS"):
        check_space(tmp_path / "checkpoints", (1 << 20) + 4096)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "checkpoint_last.pt").write_bytes(bytes(4096))
    check_space(tmp_path / "checkpoints", (1 << 20) + 4096)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "LRPE_RESULTS"),
        (errno.EIO, "the same command"),
    ],
)
def test_a_disk_that_fails_is_said_with_the_folder_and_what_to_do(number: int, remedy: str, tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=f"rope seed 1 in {tmp_path}: .*{remedy}"),
        written_below(tmp_path, "rope seed 1"),
    ):
        raise OSError(number, os.strerror(number))


def test_every_entry_point_says_a_full_disk_in_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "results/tables/alm.md")

    with pytest.raises(SystemExit) as ended:
        exit_on_user_error(main)
    assert ended.value.code == 2
    assert "results/tables/alm.md" in (said := capsys.readouterr().err)
    assert "make room" in said
