"""Small files that stand for gigabytes are refused by their names before they are unfolded."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from data_prep.api import DataError, prepare
from data_prep.images.loose import LooseImages
from experiments.dashboard.settings import read_config
from experiments.runs.store import StoredRun
from experiments.tables.reference import load_reference
from experiments.tables.spec import load_table
from experiments.util.errors import UserError
from tests.data_prep.images.support import CLASSES, write_folder
from tests.faults.counts import Tally


def aliases(word: str) -> str:
    """Ten lines that stand for 10^9 words."""
    lines = [f"a0: &a0 [{', '.join([word] * 10)}]"]
    return "\n".join([*lines, *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))])


BOMBS = {
    "aliases": aliases("x"),
    "merged keys": "a0: &a0 {x: 1}\n"
    + "\n".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)),
    "itself": "a: &a [*a]",
    "nesting": f"a: {'[' * 100_000}{']' * 100_000}",
    "nesting without an end": f"a: {'{a: ' * 100_000}",
    "nesting on one line": f"a:\n {'- ' * 100_000}x",
    "object": "a: !!python/object/apply:os.system [exit 1]",
}
READERS: dict[str, Callable[[Path], object]] = {
    "table": lambda path: load_table(path.stem, path.parent),
    "reference": lambda path: load_reference(replace(load_table("alm"), reference=path)),
    "a run's config": lambda path: StoredRun(path.parent, None).config(),
    "dashboard": read_config,
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("reader", READERS)
def test_a_bomb_of_yaml_is_refused_by_the_name_of_its_file(
    reader: str, bomb: str, tmp_path: Path, tally: Tally
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(BOMBS[bomb])
    with tally("YAML bomb") as how:
        with pytest.raises(UserError, match=re.escape(str(path))):
            READERS[reader](path)
        how.append("refused")


def image_bomb(path: Path) -> Path:
    """A PNG of a few bytes that says it has 20,000 x 20,000 pixels."""
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    packed = (struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
              for kind, body in chunks)  # fmt: skip
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    return path


def test_a_huge_image_is_refused_by_its_name(tmp_path: Path, tally: Tally) -> None:
    source = write_folder(tmp_path / "source")
    path = image_bomb(source / "train" / CLASSES[0] / "huge.png")
    with tally("decompression bomb", 2) as how:
        with pytest.raises(DataError, match=rf"{path.name}.*400000000 pixels"):
            prepare("cifar10", tmp_path / "out", source, allow_other_counts=True, skip_corrupt=False)
        loose = LooseImages(source / "train", CLASSES)
        (index,) = [index for index in range(len(loose)) if loose.name(index) == str(path)]
        with pytest.raises(DataError, match=rf"{path.name}.*400000000 pixels"):
            loose.image(index)
        how.append("refused")
