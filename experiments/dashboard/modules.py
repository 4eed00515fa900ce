"""The page's JavaScript modules joined into one script, since a page opened from a file may not import files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_IMPORT = re.compile(r'^import \{ (?P<names>[\w, ]+) \} from "\./(?P<module>[\w/]+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?P<what>(?:async )?function|const|class) (?P<name>\w+)", re.MULTILINE)
_ANY = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)


def join_modules(folder: Path, entries: Sequence[str]) -> str:
    """One script that runs the ``entries`` (module names without ``.js``) and everything that they import.

    Each module keeps a scope of its own, and runs once, after what it imports. Supported is what the page's modules
    use: ``import { a, b } from "./c.js";`` on one line, and ``export`` before a function, a class or a const.

    Raises:
        ValueError: another form of import or export, an import of what is not exported, or a circle of imports.
    """
    exports: dict[str, list[str]] = {}
    parts = ["const modules = {};"]

    def add(name: str, importing: tuple[str, ...]) -> None:
        if name in importing:
            raise ValueError(f"circular import: {' -> '.join([*importing, name])}")
        if name in exports:
            return
        source = (folder / f"{name}.js").read_text(encoding="utf-8")
        for found in _IMPORT.finditer(source):
            add(found["module"], (*importing, name))
            for wanted in found["names"].split(", "):
                if wanted not in exports[found["module"]]:
                    raise ValueError(f"{name}.js imports {wanted}, which {found['module']}.js does not export")
        exports[name] = [found["name"] for found in _EXPORT.finditer(source)]
        body = _IMPORT.sub(lambda found: f"const {{ {found['names']} }} = modules[{found['module']!r}];", source)
        body = _EXPORT.sub(lambda found: f"{found['what']} {found['name']}", body)
        if left := _ANY.search(body):
            raise ValueError(f"{name}.js: cannot join {left[0]!r}")
        parts.append(f"modules[{name!r}] = (() => {{\n{body}\nreturn {{ {', '.join(exports[name])} }};\n}})();")

    for entry in entries:
        add(entry, ())
    return "\n".join(parts) + "\n"
