"""The page is one file that loads nothing, and its modules are joined in order."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

from experiments.dashboard.modules import join_modules
from experiments.dashboard.page import ASSETS, make_page
from experiments.dashboard.snapshot import make_snapshot


@pytest.fixture(scope="module")
def page() -> str:
    return make_page(make_snapshot([]), title="runs of <me> & you")


def policy(page: str) -> str:
    return re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]


def test_the_policy_allows_its_own_scripts_and_style_and_no_request(page: str) -> None:
    assert "default-src 'none'" in policy(page)
    assert "connect-src 'none'" in policy(page)
    texts = re.findall(r"<(?:script|script type=\"module\"|style)>(.*?)</(?:script|style)>", page, re.DOTALL)
    assert len(texts) == 3
    for text in texts:
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy(page)
    assert "unsafe" not in policy(page)


def test_only_a_served_page_may_ask_its_server() -> None:
    live = make_page(make_snapshot([]), title="x", live=True)
    assert "connect-src 'self'" in policy(live)
    assert 'data-live="true"' in live


def test_the_page_refers_to_nothing_elsewhere(page: str) -> None:
    assert re.findall(r"<(?:link|img|iframe|script)[^>]*(?:src|href)=\"(?!data:,)", page) == []
    assert re.findall(r"@import|url\((?!data:)", page) == []
    assert "{{" not in page.partition("<style>")[0]


def test_the_title_is_escaped(page: str) -> None:
    assert "<title>runs of &lt;me&gt; &amp; you</title>" in page


def test_no_script_of_ours_writes_markup() -> None:
    for path in ASSETS.glob("*.js"):
        assert (
            re.findall(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", path.read_text()
            )
            == []
        )


def test_the_library_is_the_published_one_with_its_license() -> None:
    folder = ASSETS / "vendor" / "uplot"
    assert "https://github.com/leeoniya/uPlot (v1.6.32)" in (folder / "uPlot.iife.min.js").read_text()[:100]
    assert "MIT License" in (folder / "LICENSE").read_text()


def test_a_module_comes_after_what_it_imports_and_once(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text(
        'import { two } from "./b.js";\nimport { one } from "./c.js";\nexport const three = one + two;\n'
    )
    (tmp_path / "b.js").write_text('import { one } from "./c.js";\nexport function two() {}\nconst hidden = 1;\n')
    (tmp_path / "c.js").write_text("export const one = 1;\nexport async function later() {}\nexport class Kind {}\n")
    joined = join_modules(tmp_path, ["a"])
    assert [joined.count(f"modules['{name}'] = ") for name in "abc"] == [1, 1, 1]
    assert joined.index("modules['c'] =") < joined.index("modules['b'] =") < joined.index("modules['a'] =")
    assert "return { one, later, Kind };" in joined
    assert "const { two } = modules['b'];" in joined


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('import { a } from "./a.js";\n', "circular import: a -> a"),
        ('import { lost } from "./b.js";\n', "a.js imports lost, which b.js does not export"),
        ('import all from "./b.js";\n', "cannot join"),
        ("export default 1;\n", "cannot join"),
    ],
)
def test_what_cannot_be_joined_is_refused(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "a.js").write_text(source)
    (tmp_path / "b.js").write_text("export const one = 1;\n")
    with pytest.raises(ValueError, match=re.escape(message)):
        join_modules(tmp_path, ["a"])
