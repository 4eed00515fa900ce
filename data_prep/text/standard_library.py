"""The English prose that every CPython carries, read from its files without running any of them."""

from __future__ import annotations

import ast
import sysconfig
import warnings
from collections import deque
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from data_prep.core.errors import DataError

# Tests, demonstrations and what is installed beside the library: not the library's prose, or not the same everywhere.
LEFT_OUT = frozenset({
    "__pycache__", "_distutils_hack", "dist-packages", "ensurepip", "idlelib", "lib-dynload", "lib2to3",
    "site-packages", "test", "tests", "turtledemo",
})  # fmt: skip
SITE_MODULES = frozenset({"sitecustomize", "usercustomize"})
TOPICS = "pydoc_data.topics"
_HOLDS_STATEMENTS = (ast.stmt, ast.ExceptHandler, ast.match_case)
_KINDS: dict[type[ast.AST], str] = {
    ast.Module: "module",
    ast.ClassDef: "class",
    ast.FunctionDef: "function",
    ast.AsyncFunctionDef: "function",
}


class Document(NamedTuple):
    """A docstring or a documentation topic; ``kind`` is what it documents: module, class, function or topic."""

    kind: str
    text: str


def library_texts(root: Path | None = None) -> Iterator[tuple[str, list[str]]]:
    """The texts of each module: :func:`library_documents` without their kinds."""
    for module, documents in library_documents(root):
        yield module, [document.text for document in documents]


def library_documents(root: Path | None = None) -> Iterator[tuple[str, tuple[Document, ...]]]:
    """The documents of each module, in the order of the modules' names.

    Args:
        root: the standard library's folder; default: that of the running interpreter, which is read once a process.

    Yields:
        The module's dotted name and its docstrings in the order of the source; each documentation topic of
        ``pydoc_data.topics`` counts as a module of its own.

    Raises:
        DataError: the library's sources are not there as files.
    """
    yield from _running_library() if root is None else _read(Path(root))


@cache
def _running_library() -> tuple[tuple[str, tuple[Document, ...]], ...]:
    return tuple(_read(Path(sysconfig.get_paths()["stdlib"])))


def _read(root: Path) -> Iterator[tuple[str, tuple[Document, ...]]]:
    modules = sorted((_module_name(path.relative_to(root)), path) for path in _sources(root))
    if not any(name == TOPICS for name, _ in modules):
        raise DataError(
            f"{root} does not hold the standard library's sources (no pydoc_data/topics.py): use a CPython installed "
            "with its .py files"
        )
    for name, path in modules:
        tree = _parse(path)
        if tree is None:
            continue
        if name == TOPICS:
            yield from _topics(tree, path)
        else:
            yield name, tuple(document for node in _statements(tree) if (document := _docstring(node)))


def _sources(root: Path) -> Iterator[Path]:
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).parts
        if LEFT_OUT.isdisjoint(parts) and not parts[0].startswith("config-") and path.stem not in SITE_MODULES:
            yield path


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _parse(path: Path) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in docstrings are the library's business
        try:
            return ast.parse(path.read_bytes())
        except SyntaxError:
            return None  # templates and deliberately broken files
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """In the order of ``ast.walk``, without the expressions: they hold no docstrings and are most of the nodes."""
    waiting: deque[ast.AST] = deque([tree])
    while waiting:
        node = waiting.popleft()
        yield node
        waiting.extend(child for child in ast.iter_child_nodes(node) if isinstance(child, _HOLDS_STATEMENTS))


def _docstring(node: ast.AST) -> Document | None:
    kind = _KINDS.get(type(node))
    text = ast.get_docstring(node) if kind else None  # pyright: ignore[reportArgumentType] # kinds are those that it takes
    return Document(kind, text) if kind and text else None


def _topics(tree: ast.Module, path: Path) -> Iterator[tuple[str, tuple[Document, ...]]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            topics: dict[str, str] = ast.literal_eval(node.value)
            yield from ((f"{TOPICS}.{name}", (Document("topic", text),)) for name, text in sorted(topics.items()))
            return
    raise DataError(f"{path} holds no table of topics")
