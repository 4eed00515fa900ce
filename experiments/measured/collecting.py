"""Finished runs of a results folder, copied into the folder that is kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from experiments.measured.kept import Kept, key_of
from experiments.runs.records import RunFolder, load_record
from experiments.tables.plan import Resolve, Resolved, resolve_config
from experiments.util.errors import UserError
from experiments.util.files import write_atomically

LIMIT = 5_000_000  # bytes, of everything that is kept
FILES = ("record.json", "config.yaml", "history.jsonl")


def collect(kept: Kept, results: Path, say: Callable[[str], None], resolve: Resolve = resolve_config) -> None:
    """Copy what is finished of the kept tables' runs, replace what was kept before, and render.

    Args:
        resolve: overrides to the run's place; the project's own needs the prepared data.

    Raises:
        UserError: nothing is finished, a run was trained from code that no commit has, or all would be too large.
    """

    def below(overrides: list[str]) -> Resolved:
        return resolve([*overrides, f"paths.results={results}"])

    found: dict[str, list[Path]] = {}
    for plan in kept.plans(below):
        jobs = [job for job in plan.jobs if job.done()]
        say(f"{plan.request.stem}: {len(jobs)} of {len(plan.jobs)} runs are finished")
        for job in jobs:
            folders = found.setdefault(key_of(job.overrides), [])
            if job.folder not in folders:
                folders.append(job.folder)
    if not found:
        raise UserError(f"results={results}: none of the tables' runs is finished there")
    every = [folder for folders in found.values() for folder in folders]
    _check_origin(every, kept.local_changes)
    target = kept.folder / "runs"
    shutil.rmtree(target, ignore_errors=True)
    for folder in every:
        place = target.joinpath(*folder.parts[-3:])
        place.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(folder / name, place / name)
    index = {key: "/".join(folders[0].parts[-3:-1]) for key, folders in sorted(found.items())}
    write_atomically(kept.folder / "index.json", json.dumps(index, indent=1) + "\n")
    render_kept(Kept(kept.folder))
    size = sum(path.stat().st_size for path in kept.folder.rglob("*") if path.is_file())
    say(f"{len(set(every))} runs in {kept.folder}, {size / 1e6:.2f} MB with tables and figures")
    if size > LIMIT:
        raise UserError(f"{kept.folder} holds {size / 1e6:.1f} MB, more than {LIMIT / 1e6:.0f}; keep fewer tables")


def render_kept(kept: Kept) -> None:
    """Write the tables of the kept runs anew."""
    texts = kept.rendered()
    for path in (kept.folder / "tables").glob("*"):
        if path not in texts:
            path.unlink()
    for path, text in texts.items():
        write_atomically(path, text)


def _check_origin(folders: list[Path], local_changes: str) -> None:
    for folder in folders:
        record = load_record(folder)
        git = (record or {}).get("manifest", {}).get("git") or {}
        if not git.get("commit") or (git.get("dirty") and not local_changes):
            raise UserError(
                f"{RunFolder(folder).record_path} was trained from code that is in no commit; commit, train it anew, "
                "or say under 'local_changes' of tables.yaml why the difference does not matter"
            )
