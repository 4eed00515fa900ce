"""The hub's rows give the files' counts, and a hub that is not there is a matter of seconds and one message."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from data_prep.api import DataError, load_manifest, prepare
from data_prep.core import hub
from data_prep.core.hub import HubRows
from data_prep.text import wikitext
from tests.data_prep.support import prepared_bytes, run, write_source

TEXT = {"train": " = A = \n \n\n a b a \n\n c <unk> a \n", "validation": " a b \n \n", "test": "\n c d \n"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def rows_of(text: str, ending: str, blank: str) -> list[str]:
    """Rows as the hub has them: lines with or without their ends, blank lines emptied or not."""
    rows = [f"{line}{ending}" for line in text.split("\n")[:-1]]
    return [row if row.strip() else (blank if blank is not None else row) for row in rows]


def fake_hub(monkeypatch: pytest.MonkeyPatch, splits: dict[str, list[str]]) -> list[tuple[tuple[Any, ...], Any]]:
    calls: list[tuple[tuple[Any, ...], Any]] = []

    def load_dataset(*names: str, revision: str | None) -> datasets.DatasetDict:
        calls.append((names, revision))
        address = f"hf://datasets/Salesforce/wikitext@{COMMIT}/{names[1]}/train-00000-of-00001.parquet"
        made = {name: datasets.Dataset.from_dict({"text": rows}) for name, rows in splits.items()}
        for split in made.values():
            split.info.download_checksums = {address: {"num_bytes": 1, "checksum": None}}
        return datasets.DatasetDict(made)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return calls


@pytest.mark.parametrize(("ending", "blank"), [("\n", ""), ("\n", None), ("", ""), ("\r\n", "")])
def test_hub_and_files_prepare_the_same_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, blank: str | None
) -> None:
    source = write_source(tmp_path / "source", train=TEXT["train"], valid=TEXT["validation"], test=TEXT["test"])
    fake_hub(monkeypatch, {name: rows_of(text, ending, blank) for name, text in TEXT.items()})
    monkeypatch.setattr(hub, "ROWS", 2)
    from_hub = prepare("wikitext2", tmp_path / "hub", allow_other_counts=True)
    from_files = prepare("wikitext2", tmp_path / "files", source, allow_other_counts=True)
    assert prepared_bytes(from_hub) == prepared_bytes(from_files)
    assert load_manifest(from_hub)["identity"] == load_manifest(from_files)["identity"]


def test_the_pinned_revision_is_asked_for_and_the_one_that_came_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = fake_hub(monkeypatch, {name: ["a\n"] for name in TEXT})
    manifest = load_manifest(prepare("wikitext103", tmp_path, allow_other_counts=True))
    prepare("wikitext2", tmp_path, revision="other", allow_other_counts=True)
    assert calls == [
        (("Salesforce/wikitext", "wikitext-103-v1"), wikitext.HUB_REVISION),
        (("Salesforce/wikitext", "wikitext-2-v1"), "other"),
    ]
    assert len(wikitext.HUB_REVISION) == 40
    assert manifest["source"]["id"] == "Salesforce/wikitext/wikitext-103-v1"
    assert (manifest["source"]["kind"], manifest["source"]["revision"]) == ("hub", COMMIT)
    assert set(manifest["source"]["files"]) == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({**{name: ["a"] for name in TEXT}, "train": ["a", "b\nc"]}, "row 2: a line end inside the row"),
        ({**{name: ["a"] for name in TEXT}, "train": ["a", "b\0"]}, "train.*line 2: a NUL byte"),
        ({**{name: ["a"] for name in TEXT}, "train": ["", " \n"]}, "the train split is empty"),
        ({"train": ["a"], "test": ["a"]}, "has no split 'validation'.*found train, test"),
    ],
)
def test_damaged_rows_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, splits: dict[str, list[str]], message: str
) -> None:
    fake_hub(monkeypatch, splits)
    with pytest.raises(DataError, match=message):
        prepare("wikitext2", tmp_path, allow_other_counts=True)


def test_hub_text_with_other_counts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_hub(monkeypatch, {name: ["a\n"] for name in TEXT})
    with pytest.raises(DataError, match=r"Salesforce/wikitext \(wikitext-2-v1, validation\) has 2 tokens .* 217,646"):
        prepare("wikitext2", tmp_path)


def failing(error: Exception) -> Callable[..., None]:
    def load_dataset(*names: str, revision: str | None) -> None:
        raise error

    return load_dataset


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Couldn't reach it\nand more"),
        ValueError("Couldn't find cache"),
        datasets.exceptions.DatasetNotFoundError("gone"),
    ],
)
def test_whatever_the_hub_answers_the_message_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(datasets, "load_dataset", failing(error))
    reason = str(error).splitlines()[0]
    with pytest.raises(
        DataError, match=rf"cannot get owner/x \(c\) .*\({reason}\).*: call it with --source DIR"
    ) as caught:
        HubRows("owner/x", "c", None, "call it with --source DIR")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["wikitext2", "wikitext103", "wikitext2_bpe", "wikitext103_bpe"])
def test_offline_by_choice_is_one_message_within_seconds(tmp_path: Path, name: str) -> None:
    started = time.monotonic()
    done = run(name, "--out", tmp_path, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "cache"))
    assert time.monotonic() - started < 20
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    wanted = (
        "--bpe DIR, where DIR holds encoder.json"
        if name.endswith("bpe")
        else "--source DIR, where DIR holds wiki.train"
    )
    assert line.startswith("error: cannot get ")
    assert wanted in line


@pytest.mark.parametrize("variable", hub.OFFLINE)
def test_either_variable_means_offline_and_asks_nobody(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr("urllib.request.urlopen", never)
    for name in hub.OFFLINE:
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv(variable, "true")
    hub.require_hub("wikitext2", "use --source")
    assert hub.os.environ["HF_HUB_OFFLINE"] in ("1", "true"), "the hub's client knows this one alone"


def test_no_network_is_one_message_within_seconds(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        started = time.monotonic()
        done = run("wikitext2", "--out", tmp_path, HF_HUB_OFFLINE="0", HF_ENDPOINT=endpoint, no_proxy="127.0.0.1")
    assert time.monotonic() - started < 10
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert endpoint in line
    assert "Connection refused" in line
    assert "wiki.train.tokens, wiki.valid.tokens, wiki.test.tokens" in line
