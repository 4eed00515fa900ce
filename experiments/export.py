"""A finished run as a folder that torch and safetensors load, and that a hub can hold.

    python -m experiments.export run=results/runs/alm/rope-1a2b3c4d/seed1 to=exported/rope
    python -m experiments.export run=results/runs/alm/rope-1a2b3c4d/seed1 push=ORG/NAME

Keys:
    run        a finished run's folder: its best checkpoint is written
    to         the folder to write: model.safetensors, config.json, the words (dict.txt, and
               encoder.json and vocab.bpe where the data has a BPE) and README.md, a model card
               made of the run's record; an earlier export there is replaced
                                                      [results/exported/<run's name>]
    license    of the weights, a word of the hub's list; the card names the data's terms      [mit]
    data       another folder of the prepared data                                  [the run's]
    push       ORG/NAME on huggingface.co (HF_ENDPOINT: another hub), made where it is missing;
               needs  hf auth login  or HF_TOKEN
    private    whether a repository that is made is private                              [false]
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from experiments.runs.store import open_run
from experiments.util.arguments import parse
from experiments.util.errors import UserError, exit_on_user_error


@dataclass
class Arguments:
    run: str | None = None
    to: str | None = None
    license: str = "mit"
    data: str | None = None
    push: str | None = None
    private: bool = False


def main() -> None:
    arguments = parse(Arguments, sys.argv[1:], __doc__ or "")
    if arguments.run is None:
        raise UserError("run=... is missing: give the folder of a finished run")
    run = open_run(Path(arguments.run))
    if run.record is None or not run.record.finished:
        raise UserError(f"{run.folder}: {run.problem or run.state}; only a finished run is exported")
    if arguments.push:
        from experiments.sharing.hub import check_target

        check_target(arguments.push)
    to = Path(arguments.to or _default(run.name)).expanduser()
    from experiments.engine.export import export
    from experiments.sharing.card import License

    files = export(run, run.record, to, License(arguments.license), Path(arguments.data) if arguments.data else None)
    print(f"{to}: {', '.join(files)}")
    if arguments.push:
        from experiments.sharing.hub import push

        print(push(to, files, arguments.push, private=arguments.private))


def _default(name: str) -> Path:
    return Path(os.environ.get("LRPE_RESULTS", "results"), "exported", name.replace("/", "-"))


if __name__ == "__main__":
    exit_on_user_error(main)
