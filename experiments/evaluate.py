"""The metrics of a checkpoint: perplexity, a task's accuracy and the like, as its family measures them.

    python -m experiments.evaluate run=results/runs/alm/rope-1a2b3c4d/seed1
    python -m experiments.evaluate checkpoint=model.pt split=valid context_window=400
    python -m experiments.evaluate run=results/runs/imagenet/rope-1a2b3c4d/seed1 images=DIR image_size=384
    python -m experiments.evaluate run=results/runs/alm/rope-1a2b3c4d/seed1 length=512,1024,2048 record=true

Keys:
    run             a run's folder: its best checkpoint is scored; or a folder of experiments.export
    checkpoint      or any checkpoint file
    split           a split of its data: train, valid, test, ...       [test; valid for sentence tasks and images]
    context_window  tokens of context that every scored token has at least     [the recipe's; autoregressive models;
                                                                                0 with length=]
    images          a folder <class>/<image> instead of prepared data              [image classifiers]
    image_size      pixels, any multiple of the patch size                         [as in training; image classifiers]
    crop_fraction   of the middle, which is what is looked at; 1 for all of it     [the recipe's; image classifiers]
    length          tokens in a sequence, or several lengths with commas            [as trained; autoregressive models]
    record          keep the test split's metrics at each length in the run's
                    record, where tables and figures find them                     [false; with run= and length=]
    data            another folder of prepared data                                [the checkpoint's]
    samples         sequences or images at once                                    [as in training]
    device          auto, cpu or cuda                                              [auto]
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.api import load_manifest
from data_prep.core.errors import DataError
from experiments.runs.checkpoint import checkpoint_path, is_exported
from experiments.runs.lengths import QUANTITIES, beyond_positions, lacking, metric_name
from experiments.runs.records import Record, RunFolder
from experiments.runs.store import open_run
from experiments.util.arguments import parse
from experiments.util.errors import UserError, exit_on_user_error

if TYPE_CHECKING:
    from experiments.engine.families import Family


@dataclass
class Arguments:
    run: str | None = None
    checkpoint: str | None = None
    split: str | None = None
    context_window: int | None = None
    images: str | None = None
    image_size: int | None = None
    crop_fraction: float | None = None
    length: str | None = None
    record: bool = False
    data: str | None = None
    samples: int | None = None
    device: str = "auto"


def main() -> None:
    arguments = parse(Arguments, sys.argv[1:], __doc__ or "")
    path = checkpoint_path(arguments.run, arguments.checkpoint)
    lengths = _lengths(arguments)
    _refuse_beyond_positions(arguments, lengths)
    from experiments.engine import checkpoints
    from experiments.engine.families import family_of_checkpoint

    checkpoints.install()
    family = family_of_checkpoint(path)
    own_options(family, arguments)
    print(f"{path}")
    data = Path(arguments.data) if arguments.data else None
    if not arguments.record:
        for length in lengths or [None]:
            _score(family, path, arguments, data, length)
        return
    folder = RunFolder(path.parent.parent)
    with folder.lock(wait=True):
        record = _finished(folder)
        for length in lacking(record["metrics"], lengths):
            found = _score(family, path, arguments, _data_of(record, data), length)
            folder.add_metrics({metric_name(quantity, length): found[quantity] for quantity in QUANTITIES})


def _score(family: Family, path: Path, arguments: Arguments, data: Path | None, length: int | None) -> dict[str, float]:
    """Score the checkpoint and say what was found."""
    from experiments.engine.distributed import find_context

    options = own_options(family, arguments)
    if length is not None:
        options["length"] = length
    split = arguments.split or family.splits[-1]
    found = family.score(
        path,
        split,
        data=data,
        samples=arguments.samples,
        cuda=find_context(arguments.device).cuda,
        **options,
    )
    given = "".join(f", {name.replace('_', ' ')} {value}" for name, value in options.items() if name != "images")
    print(f"{arguments.images or split}: {shown(found)}{given}")
    return found


def own_options(family: Family, arguments: Arguments) -> dict[str, Any]:
    """What only checkpoints of some families can be asked: the options that their ``score`` takes beside everybody's.

    Raises:
        UserError: a checkpoint is asked what its family does not take.
    """
    from experiments.engine.families import FAMILIES, Family

    everybody = inspect.signature(Family.score).parameters
    taken = {name: inspect.signature(other.score).parameters.keys() - everybody for name, other in FAMILIES.items()}
    own = sorted(set().union(*taken.values()))
    given = {name: value for name in own if (value := getattr(arguments, name)) != getattr(Arguments, name)}
    for name, value in given.items():
        if name not in taken[family.name]:
            owners = " and ".join(f"experiment={other}" for other in FAMILIES if name in taken[other])
            raise UserError(f"{name}={value}: only checkpoints of {owners} have one, not {family.name}'s")
    return given


def _lengths(arguments: Arguments) -> list[int]:
    """The lengths asked for, in order.

    Raises:
        UserError: one that is no length, or a record of what a record does not hold.
    """
    words = [word.strip() for word in (arguments.length or "").strip("[]").split(",") if word.strip()]
    for word in words:
        if not word.isdecimal() or int(word) < 2:
            raise UserError(f"length={arguments.length}: expected a whole number of at least 2, or several with commas")
    if arguments.record:
        if not words or arguments.run is None or is_exported(Path(arguments.run)):
            raise UserError("record=true: expected run=<run folder> and length=<tokens>, whose metrics a record keeps")
        if arguments.context_window or arguments.split not in (None, "test"):
            raise UserError("record=true: a record keeps the test split, without a context window; leave these two out")
    return sorted({int(word) for word in words})


def _refuse_beyond_positions(arguments: Arguments, lengths: list[int]) -> None:
    """What the config of a run's folder shows before its checkpoint is read."""
    if arguments.run is None:
        return
    config = open_run(Path(arguments.run)).config_or_nothing()
    for length in lengths:
        if config and (reason := beyond_positions(config, length)):
            raise UserError(reason)


def _finished(folder: RunFolder) -> Record:
    record = folder.load()
    if record is None or not record.finished:
        raise UserError(f"{folder.path} is not finished; only a finished run's record is added to")
    return record


def _data_of(record: Record, given: Path | None) -> Path:
    """The prepared data that a run was trained on, where it lies now.

    Raises:
        UserError: there is none, or it is another.
    """
    folder = given or Path(open_run(record.folder).config()["data"]["folder"])
    try:
        found = load_manifest(folder)["identity"]
    except DataError as error:
        raise UserError(f"{error} (data=... names another folder)") from None
    known = record["manifest"]["data"]["identity"]
    if found != known:
        raise UserError(f"{folder} holds data {found[:12]}, and {record.folder} was trained on {known[:12]}")
    return folder


def shown(found: dict[str, float]) -> str:
    """Metrics as a person reads them, the losses and counts last."""
    counts = ("tokens", "images")
    parts = {name: f"{value:,.0f}" if name in counts else f"{value:.4f}" for name, value in found.items()}
    if "perplexity" in found:
        parts["perplexity"] = f"{found['perplexity']:.2f}"
    last = ("loss", *counts)
    names = [*(name for name in parts if name not in last), *(name for name in last if name in parts)]
    return ", ".join(f"{parts[name]} {name}" if name in counts else f"{name} {parts[name]}" for name in names)


if __name__ == "__main__":
    exit_on_user_error(main)
