"""Pushing to a hub: what arrives is what was written, and who cannot push reads why."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.sharing.hub import check_target, push
from experiments.util.errors import UserError
from tests.experiments.engine.hub_server import HubServer

FILES = ("README.md", "config.json", "model.safetensors")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> object:
    server = HubServer()
    with server.asked_by_the_client(monkeypatch):
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*FILES, "private.txt"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    return tmp_path


def test_the_files_arrive_in_one_commit(hub: HubServer, folder: Path) -> None:
    check_target("group/rope")
    assert push(folder, FILES, "group/rope", private=True) == f"{hub.address}/group/rope"
    assert hub.made == {"group/rope": True}
    assert hub.files["group/rope"] == {name: (folder / name).read_bytes() for name in FILES}, "and nothing else"
    assert hub.commits == 1


def test_a_repository_that_is_there_gets_another_commit(hub: HubServer, folder: Path) -> None:
    for content in (b"one", b"two"):
        (folder / "README.md").write_bytes(content)
        push(folder, FILES, "group/rope", private=False)
    assert hub.files["group/rope"]["README.md"] == b"two"
    assert hub.made == {"group/rope": False}


def test_a_wrong_token_is_refused_with_a_remedy(hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(UserError, match=r"refuses \(401\).*; log in with  hf auth login"):
        push(folder, FILES, "group/rope", private=False)
    assert hub.files == {}


def test_a_hub_that_is_not_there(folder: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"http://127.0.0.1:9 cannot be reached: .*; the folder is written"):
        push(folder, FILES, "group/rope", private=False)


@pytest.mark.parametrize("name", ["rope", "a/b/c", "a b/c", "a/b--c", ""])
def test_a_name_that_is_no_repository(hub: HubServer, name: str) -> None:
    with pytest.raises(UserError, match="expected ORG/NAME"):
        check_target(name)


def test_nobody_is_logged_in(hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(UserError, match="nobody is logged in at .*; log in with  hf auth login  or set HF_TOKEN"):
        check_target("group/rope")
