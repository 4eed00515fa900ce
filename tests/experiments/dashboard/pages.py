"""What the tests in a browser share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.dashboard.__main__ import write_dashboard

Open = Callable[..., Any]
ROPE = {1: [9.0, 6.0, 4.0], 2: [11.0, 7.0, 5.0], 3: [10.0, 8.0, 4.5]}


def write(results: Path) -> Path:
    out = results / "dashboard.html"
    write_dashboard(results, out)
    return out


def column(page: Any, name: str) -> list[str]:
    """The texts of a column of the table of runs."""
    heads = [text.strip() for text in page.locator(".runs thead th").all_inner_texts()]
    return [
        row.locator("td, th").nth(heads.index(name)).inner_text().strip()
        for row in page.locator(".runs tbody tr").all()
    ]


def choose(page: Any, facet: str, value: str) -> None:
    page.click(f"[data-facet={facet}] > summary")
    page.get_by_role("checkbox", name=re.compile(f"^{value}\\b")).click()
    page.keyboard.press("Escape")
