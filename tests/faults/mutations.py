"""What can happen to a file: seeded, so that a number names one fault for ever."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[Path, random.Random], None]


def _bytes(change: Callable[[bytearray, random.Random], bytes | bytearray]) -> Damage:
    def damage(path: Path, draw: random.Random) -> None:
        path.write_bytes(change(bytearray(path.read_bytes()), draw))

    return damage


def _insert(piece: bytes) -> Damage:
    def change(content: bytearray, draw: random.Random) -> bytearray:
        place = draw.randrange(len(content) + 1)
        return content[:place] + piece + content[place:]

    return _bytes(change)


def _flip_bit(content: bytearray, draw: random.Random) -> bytearray:
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return content


def _truncate(content: bytearray, draw: random.Random) -> bytearray:
    return content[: draw.randrange(len(content))]


def _directory(path: Path, draw: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path, draw: random.Random) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _swap(path: Path, draw: random.Random) -> None:
    """Exchange the file with its sibling of another split, class or kind."""
    others = [other for other in sorted(path.parent.iterdir()) if other != path and other.is_file()]
    if not others:
        path.unlink()
        return
    other = draw.choice([one for one in others if one.suffix == path.suffix] or others)
    mine = path.read_bytes()
    shutil.copyfile(other, path)
    other.write_bytes(mine)


def _stranger(path: Path, draw: random.Random) -> None:
    shutil.copyfile(path, path.with_name(f"stranger{draw.randrange(9)}{path.suffix}"))


DAMAGES: dict[str, Damage] = {
    "truncation": _bytes(_truncate),
    "bit flip": _bytes(_flip_bit),
    "empty file": _bytes(lambda content, draw: b""),
    "NUL bytes": _insert(b"\0\0"),
    "CRLF": _bytes(lambda content, draw: content.replace(b"\n", b"\r\n")),
    "invalid UTF-8": _insert(b"\xff\xfe\xc3("),
    "swapped files": _swap,
    "missing file": lambda path, draw: path.unlink(),
    "extra file": _stranger,
    "symlink loop": _loop,
    "folder for a file": _directory,
    "nested brackets": _bytes(lambda content, draw: b"[" * 100_000),
}
