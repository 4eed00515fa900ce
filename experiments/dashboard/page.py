"""The page as one file: markup, style, scripts and data, and a policy that lets it reach nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from experiments.dashboard.modules import join_modules
from experiments.dashboard.snapshot import to_json

ASSETS = Path(__file__).resolve().parent / "assets"
STYLES = (
    "vendor/uplot/uPlot.min.css",
    *(f"{name}.css" for name in ("base", "controls", "popover", "table", "bars", "plot")),
)
PLOT_LIBRARY = "vendor/uplot/uPlot.iife.min.js"


def make_page(snapshot: Mapping[str, Any], *, title: str, live: bool = False) -> str:
    """The whole HTML. ``live`` lets the page ask the server that it came from for changes, and nothing else.

    The policy names the scripts and the style by their hashes, so that even markup which found its way past the
    escaping would neither run nor load anything.
    """
    style = _style()
    library, script = _scripts()
    policy = {
        "default-src": "'none'",
        "script-src": f"{_hash(library)} {_hash(script)}",
        "style-src": _hash(style),
        "img-src": "data:",
        "connect-src": "'self'" if live else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    parts = {
        "policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "title": escape(title),
        "style": style,
        "live": "true" if live else "false",
        "library": library,
        "data": to_json(snapshot),
        "script": script,
    }
    page = (ASSETS / "page.html").read_text(encoding="utf-8")
    head, *pieces = page.split("{{")
    return head + "".join(parts[name] + rest for name, _, rest in (piece.partition("}}") for piece in pieces))


@cache
def _style() -> str:
    return "\n" + "\n".join((ASSETS / name).read_text(encoding="utf-8").strip() for name in STYLES) + "\n"


@cache
def _scripts() -> tuple[str, str]:
    library = (ASSETS / PLOT_LIBRARY).read_text(encoding="utf-8").strip()
    return library, "\n" + join_modules(ASSETS, ["main"])


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
