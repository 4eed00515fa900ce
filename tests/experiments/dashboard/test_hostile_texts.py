"""A text of a stranger's run, in whatever field it stands, is data of the page and never a part of its markup."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from experiments.dashboard.__main__ import write_dashboard
from tests.experiments.dashboard.conftest import Write, rows_of

HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "</SCRIPT\n><svg onload=alert(1)>",
    "<!--<script>",
    "]]>--></title></style>",
    "{{data}}{{script}}",
    "\"'><a onmouseover=alert(1) href=javascript:alert(1)>",
    "&lt;img&gt;&#60;&quot;",
    "\u2028\u2029\u202e\x1b[31m",
    "${alert(1)}`\\u003c\\",
]


class Outline(HTMLParser):
    """Every tag of a page with its attributes, its comments, and the text of its data."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[Any] = []
        self.data = ""
        self._in_data = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attributes))
        self._in_data = ("id", "data") in attributes

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(tag)
        self._in_data = False

    def handle_comment(self, text: str) -> None:
        self.tags.append(("comment", text))

    def handle_data(self, text: str) -> None:
        self.data += text if self._in_data else ""


def write_everywhere(write_run: Write, text: str, name: str) -> None:
    """One failed and one finished run that have the text in every field that takes one, the folder's name included."""
    config = f"encoding: {{label: {json.dumps(text)}}}\n{json.dumps(text)}: {json.dumps(text)}\n"
    for seed, status in ((1, "failed"), (2, "finished")):
        write_run(
            name, seed, status=status, error=text, name=text, protocol=text, profile=text, data=text, config=config,
            metrics={text: 1.0, "test_loss": 1.0}, rows=[{**rows_of([1.0])[0], "split": text, text: 2.0}],
        )  # fmt: skip


def texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_of(item)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_adds_no_markup_and_comes_back_as_it_was(
    text: str, write_run: Write, results: Path, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    write_everywhere(write_run, "harmless", name="harmless")
    write_dashboard(results, out)
    known = out.read_text(encoding="utf-8")
    write_everywhere(write_run, text, name=text.replace("/", "\\"))
    write_dashboard(results, out)
    page = out.read_text(encoding="utf-8")
    assert Outline(page).tags == Outline(known).tags
    for piece in ("</script", "<!--", "<img", "<svg"):
        assert page.lower().count(piece) == known.lower().count(piece), piece
    runs = [run for run in json.loads(Outline(page).data)["runs"] if run["run"]["name"] == text]
    assert len(runs) == 2
    for run in runs:
        assert {run["error"] or text, *(run["run"][key] for key in ("protocol", "profile", "data"))} == {text}
        assert text.replace("/", "\\") in run["path"]
        assert text in run["curves"]
        assert text in run["curves"][text]["columns"]
    found = list(texts_of(json.loads(Outline(page).data)["settings"]))
    assert found.count(json.dumps(text)) + found.count(text) >= 2


def test_half_a_character_does_not_keep_the_page_from_being_written(
    write_run: Write, results: Path, tmp_path: Path
) -> None:
    folder = write_run("rope", 1, status="failed", error="boom")
    record = folder.path / "record.json"
    record.write_text(record.read_text(encoding="utf-8").replace("boom", "\\ud800 boom"), encoding="utf-8")
    write_dashboard(results, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert json.loads(Outline(page).data)["runs"][0]["error"].endswith(" boom")
