"""Damaged data is refused by the name of its file, or makes no difference; never another number in silence."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import zlib
from pathlib import Path

import pytest

from data_prep.api import DataError, check, load_manifest, prepare, prepare_task
from tests.data_prep.images.support import write_folder
from tests.data_prep.sentence_tasks.support import SENTENCES, write_task
from tests.data_prep.support import write_source
from tests.experiments.conftest import TINY, TINY_BLM, TINY_GLUE, run_module, write_corpus
from tests.experiments.engine.imagenet.conftest import TINY as TINY_IMAGES
from tests.faults.commands import call
from tests.faults.counts import Tally
from tests.faults.mutations import DAMAGES

RAW = ("wikitext2", "wikitext2_bpe", "cola", "stsb", "images")
PREPARED = {"alm": "wikitext2", "blm": "wikitext2", "glue": "glue/wikitext2/cola", "imagenet": "cifar10"}
PER_RAW, PER_PREPARED = 16, 25
OTHER_DATA = "told apart"  # prepared under another identity, so that no run takes it for the first


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def damage(folder: Path, kind: str, number: int) -> tuple[Path, random.Random]:
    """Do one damage to one file below ``folder``; which one follows from the number."""
    draw = random.Random(zlib.crc32(f"{kind} {number}".encode()))
    path = draw.choice([path for path in files_of(folder) if path.stat().st_size])
    DAMAGES[kind](path, draw)
    return path, draw


def kinds(count: int, seed: int) -> list[str]:
    """``count`` kinds of damage, each about as often."""
    names = list(DAMAGES)
    random.Random(seed).shuffle(names)
    return [names[number % len(names)] for number in range(count)]


def names_a_file(message: str, folder: Path) -> bool:
    """Whether a message names a file or folder below ``folder``, or what is missing of it."""
    return str(folder) in message or re.search(r"--source names|val/|train/", message) is not None


# Raw files --------------------------------------------------------------------------------------------------------


def write_raw(name: str, folder: Path) -> None:
    if name == "images":
        write_folder(folder)
    elif name in ("cola", "stsb"):
        write_task(folder, name, rows=8)
    else:
        lines = "\n".join(SENTENCES) * 3 + "\n"
        suffix = "raw" if name.endswith("_bpe") else "tokens"
        write_source(folder, suffix=suffix, train=lines, valid=lines, test=lines)


def prepare_raw(name: str, source: Path, out: Path) -> str:
    """Prepare, and the identity of what came out."""
    if name == "images":
        options = {"skip_corrupt": False, "decode": True}
        return str(load_manifest(prepare("cifar10", out, source, allow_other_counts=True, **options))["identity"])
    if name in ("cola", "stsb"):
        words = out / "words"
        tokens = prepare("wikitext2", words, write_source(words / "source", train=" ".join(SENTENCES) + "\n"),
                         allow_other_counts=True)  # fmt: skip
        return str(load_manifest(prepare_task(name, tokens, out, source, allow_other_counts=True))["identity"])
    options = {"train_bpe": 270} if name.endswith("_bpe") else {}
    return str(load_manifest(prepare(name, out, source, allow_other_counts=True, **options))["identity"])


def try_raw(name: str, number: int, kind: str, folder: Path) -> str:
    """How a preparation from one damaged source ended."""
    source, out = folder / "source", folder / "out"
    write_raw(name, source)
    known = prepare_raw(name, source, folder / "known")
    damage(source, kind, number)
    try:
        found = prepare_raw(name, source, out)
    except DataError as error:
        refusal = str(error)
    else:
        return "harmless" if found == known else OTHER_DATA
    assert names_a_file(refusal, folder), f"{kind}: {refusal}"
    prepared = out / ("cifar10" if name == "images" else name)
    assert not prepared.exists(), "a refused source leaves nothing"
    return "refused"


@pytest.mark.faults
@pytest.mark.parametrize("name", RAW)
def test_raw_files(name: str, tally: Tally, tmp_path: Path) -> None:
    for number, kind in enumerate(kinds(PER_RAW, seed=1)):
        with tally(f"damaged source, {name}") as how:
            how.append(try_raw(name, number, kind, tmp_path / str(number)))


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("kind", ["truncation", "invalid UTF-8", "symlink loop"])
def test_a_sample_of_raw_files(name: str, kind: str, tmp_path: Path) -> None:
    try_raw(name, 0, kind, tmp_path)


# Prepared files ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root and a results root with a finished run of each family."""
    root = tmp_path_factory.mktemp("prepared")
    data, results = root / "data", root / "results"
    prepare("wikitext2", data, write_corpus(root / "text", lines=60), allow_other_counts=True)
    prepare_task("cola", data / "wikitext2", data, write_task(root / "glue", "cola", rows=8), allow_other_counts=True)
    prepare("cifar10", data, write_folder(root / "images", train=6, valid=4), allow_other_counts=True)
    short = ["recipe.max_update=2", "recipe.warmup_updates=1", "recipe.validate_interval_updates=2"]
    run_module("experiments.train", data, results, *TINY, *short)
    run_module("experiments.train", data, results, *TINY_BLM, *short)
    run_module("experiments.train", data, results, *TINY_GLUE, "task=cola", *short)
    run_module("experiments.train", data, results, *TINY_IMAGES, "recipe.max_update=2", "recipe.warmup_updates=1")
    return root


def metrics(store: Path, family: str, data: Path) -> tuple[int, str]:
    """(exit code, what ``experiments.evaluate`` said of the metrics, or why it would not)."""
    path = sorted((store / "results" / "runs" / family).glob("*/*/checkpoints/checkpoint_best.pt"))[0]
    split = "valid" if family in ("glue", "imagenet") else "test"
    ended = call("experiments.evaluate", f"checkpoint={path}", f"data={data}", f"split={split}", "device=cpu")
    return (0, ended.out.splitlines()[-1]) if ended.code == 0 else (ended.code, ended.message)


@pytest.mark.faults
@pytest.mark.parametrize("family", PREPARED)
def test_prepared_files(family: str, store: Path, tally: Tally, tmp_path: Path) -> None:
    _, known = metrics(store, family, store / "data" / PREPARED[family])
    for number, kind in enumerate(kinds(PER_PREPARED, seed=2)):
        copied = tmp_path / str(number)
        shutil.copytree(store / "data" / PREPARED[family], copied)
        damage(copied, kind, number)
        with tally(f"damaged data, {family}") as how:
            code, said = metrics(store, family, copied)
            if code:
                assert str(copied) in said, f"{kind}: {said}"
                how.append("refused")
            else:
                assert said == known, f"{kind}: another number in silence"
                how.append("harmless")


@pytest.mark.faults
def test_images_that_are_not_copied(store: Path, tally: Tally, tmp_path: Path) -> None:
    for number, kind in enumerate(kinds(PER_PREPARED, seed=3)):
        folder = tmp_path / str(number)
        shutil.copytree(store / "images", folder / "source")
        data = prepare("cifar10", folder, folder / "source", allow_other_counts=True)
        _, known = metrics(store, "imagenet", data)
        damage(folder / "source" / "val", kind, number)
        with tally("damaged images behind an index") as how:
            code, said = metrics(store, "imagenet", data)
            assert str(folder) in said if code else said == known, f"{kind}: {said}"
            how.append("refused" if code else "harmless")


def test_a_flipped_bit_is_seen_although_size_and_time_stay(tmp_path: Path) -> None:
    folder = prepare("wikitext2", tmp_path, write_corpus(tmp_path / "text", lines=60), allow_other_counts=True)
    check(folder)
    path = folder / "train.bin"
    before, content = path.stat(), bytearray(path.read_bytes())
    content[7] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DataError, match=r"train\.bin has SHA-256"):
        check(folder)


def test_a_manifest_that_was_edited_is_refused(tmp_path: Path) -> None:
    folder = prepare("wikitext2", tmp_path, write_corpus(tmp_path / "text", lines=60), allow_other_counts=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "identity": "0" * 64}))
    with pytest.raises(DataError, match=r"manifest\.json was changed"):
        load_manifest(folder)
