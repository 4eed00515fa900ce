"""``python -m data_prep.<name>``, the same for every data set."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Any, NoReturn

from data_prep.catalog import DATASETS
from data_prep.core.errors import DataError


def user_path(word: str) -> Path:
    """A path of a command line; ``~`` is the home folder, where the shell left it (as in ``--out=~/data``)."""
    return Path(word).expanduser()


def build_parser(name: str) -> argparse.ArgumentParser:
    """The options that ``name`` takes."""
    dataset = DATASETS[name]
    parser = argparse.ArgumentParser(prog=f"python -m data_prep.{name}", description=f"Prepare {name}.")
    parser.add_argument("--out", type=user_path, metavar="DIR", help="where <DIR>/<name>/ goes (LRPE_DATA, or ./data)")
    parser.add_argument("--force", action="store_true", help="prepare again what is already there")
    if not dataset.embedded:
        parser.add_argument("--source", type=user_path, metavar="DIR", help="local files instead of the hub")
        parser.add_argument("--revision", metavar="COMMIT", help="of the hub's data set, instead of the pinned one")
        parser.add_argument(
            "--allow-other-counts", action="store_true", help="accept data without the published counts"
        )
    if dataset.takes_bpe:
        bpe = parser.add_mutually_exclusive_group()
        bpe.add_argument(
            "--bpe",
            type=user_path,
            metavar="DIR",
            help="GPT-2's BPE instead of the hub's, or a prepared folder's: encoder.json and vocab.bpe (or vocab.json "
            "and merges.txt), and dict.txt if wanted",
        )
        bpe.add_argument("--train-bpe", type=int, metavar="SIZE", help="train one on the train split, e.g. 8192")
    if dataset.images:
        _add_image_options(parser, dataset.labels_apart)
    return parser


def _add_image_options(parser: argparse.ArgumentParser, labels_apart: bool) -> None:
    parser.add_argument("--skip-corrupt", action="store_true", help="leave out what is no image or damaged")
    parser.add_argument(
        "--decode", action="store_true", help="decode every image to find damage (else headers and ends are looked at)"
    )
    parser.add_argument(
        "--allow-missing-classes", action="store_true", help="classes of train may be missing among validation images"
    )
    parser.add_argument(
        "--validate-on-train", action="store_true", help="there are no validation images: use those of train for both"
    )
    if labels_apart:
        parser.add_argument(
            "--validation-labels", type=user_path, metavar="FILE", help="classes of a flat folder of validation images"
        )


def summary(folder: Path) -> str:
    """A few lines on a prepared folder."""
    from data_prep.core.manifest import load_manifest

    manifest = load_manifest(folder)
    describe = _image_lines if manifest.get("kind") == "images" else _text_lines
    return "\n".join([f"{folder}", *describe(manifest)])


def _text_lines(manifest: dict[str, Any]) -> list[str]:
    lines = [
        f"  vocabulary {manifest['vocabulary']:,} ({manifest['words']:,} words), counts: {manifest['counts']}, "
        f"{_bpe(manifest)}identity {manifest['identity'][:12]}",
    ]
    for split, counts in manifest["splits"].items():
        lines.append(
            f"  {split:<6}{counts['tokens']:>13,} tokens {counts['lines']:>11,} lines "
            f"{100 * counts['unknown_rate']:6.2f} % <unk>"
        )
    return lines


def _image_lines(manifest: dict[str, Any]) -> list[str]:
    lines = [f"  {manifest['classes']:,} classes, counts: {manifest['counts']}, identity {manifest['identity'][:12]}"]
    for split, counts in manifest["splits"].items():
        lines.append(
            f"  {split:<6}{counts['images']:>11,} images of {counts['classes']:>5,} classes, "
            f"{counts['mean_width']:g} x {counts['mean_height']:g} pixels on average"
        )
    if manifest["skipped"]:
        lines.append(f"  {len(manifest['skipped']):,} files left out, e.g. {manifest['skipped'][0]}")
    return lines


def _bpe(manifest: dict[str, Any]) -> str:
    bpe = manifest.get("bpe")
    return f"BPE {bpe['kind']} {bpe['size']:,}, " if bpe else ""


def main(name: str, arguments: list[str] | None = None) -> NoReturn:
    """Prepare ``name`` and exit: 0 done (or done before), 2 bad input with one message, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without UTF-8 shows ? for what it does not have
            stream.reconfigure(errors="replace")
    options = vars(build_parser(name).parse_args(arguments))
    from data_prep.api import prepare

    try:
        print(summary(prepare(name, **options)))
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print(f"{name}: interrupted; nothing was left behind, the same command starts again", file=sys.stderr)
        raise SystemExit(130) from None
    raise SystemExit(0)
