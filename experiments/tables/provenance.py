"""The footer of a table: which runs, which code, which machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from experiments.runs.records import Record
from experiments.tables.aggregate import Results
from experiments.tables.comparison_sheet import comparison_notes

SHOWN_PACKAGES = ("lrpe", "torch", "fairseq-fixed", "fairseq", "numpy")


def unigram_line(records: Iterable[Record]) -> str | None:
    """The perplexity that a model without any context reaches on the test split, where the records know it."""
    found = {record["metrics"].get("unigram_perplexity") for record in records} - {None}
    if not found:
        return None
    return "unigram model of the training text: perplexity " + ", ".join(f"{value:,.1f}" for value in sorted(found))


def footer(
    results: Results, profile: str, overrides: Sequence[str], paper: str = "", remarks: Sequence[str] = ()
) -> list[str]:
    """One line a fact; without records only what was asked for. Nothing here depends on when it is rendered.

    Args:
        paper: where the paper's figures were read.
        remarks: on cells of this table.
    """
    records = results.records
    lines = [
        f"profile {profile}, protocol {' and '.join(results.protocols)}; mean ± sample standard deviation over seeds"
    ]
    if overrides:
        lines.append(f"overrides: {' '.join(overrides)}")
    if not records:
        return [*lines, *remarks, "no finished run yet"]
    lines += [*_legend(results), *remarks]
    if paper:
        lines.append(f"paper: {paper}")
    if baseline := unigram_line(records):
        lines.append(baseline)
    for line in results.lines:
        for protocol in results.protocols:
            runs = [record["run"] for record in line.records[protocol]]
            if runs:
                seeds = ", ".join(str(seed) for seed in sorted({run["seed"] for run in runs}))
                identities = ", ".join(sorted({run["identity"] for run in runs}))
                suffix = f" ({protocol})" if len(results.protocols) > 1 else ""
                lines.append(f"{line.row.key}{suffix}: run {identities}, seeds {seeds}")
    if diverged := [record["run"]["name"] for record in records if record["metrics"].get("valid_loss", 0) is None]:
        lines.append(f"diverged, and left out of the means: {', '.join(diverged)}")
    manifests = [record["manifest"] for record in records]
    lines.append("code: " + _distinct(_commit(manifest.get("git") or {}) for manifest in manifests))
    lines.append("versions: " + _distinct(_versions(manifest) for manifest in manifests))
    lines.append("hardware: " + _distinct(_hardware(manifest.get("hardware") or {}) for manifest in manifests))
    lines.append("data: " + _distinct(_data(manifest.get("data") or {}) for manifest in manifests))
    ended = sorted(record["segments"][-1]["ended"][:10] for record in records if record["segments"])
    if ended:
        lines.append(f"trained: {ended[0]}" + (f" to {ended[-1]}" if ended[-1] != ended[0] else ""))
    return lines


def _legend(results: Results) -> Iterable[str]:
    """What the columns beside the measured ones mean, where the table has them."""
    cells = [cell for line in results.lines for cell in line.cells]
    if any(cell.from_baseline is not None for cell in cells):
        yield f"Δ {results.spec.baseline}: difference from the mean of that row"
    yield from comparison_notes(results)
    if any(cell.rank is not None for cell in cells):
        first, last = results.protocols[0], results.protocols[-1]
        yield (
            f"rank: place under {first} → under {last} (change: less than 0 has won places), among the rows "
            "finished under both; equal means share a place"
        )


def _distinct(values: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(values))


def _commit(git: dict[str, object]) -> str:
    if not git.get("commit"):
        return "not committed"
    return f"commit {str(git['commit'])[:12]}" + (" with local changes" if git.get("dirty") else "")


def _versions(manifest: dict[str, object]) -> str:
    packages = manifest.get("packages")
    listed = packages if isinstance(packages, dict) else {}
    named = [f"{name} {listed[name]}" for name in SHOWN_PACKAGES if name in listed]
    return ", ".join([f"python {manifest.get('python', '?')}", *named])


def _hardware(hardware: dict[str, object]) -> str:
    gpus = hardware.get("gpus")
    names = list(gpus) if isinstance(gpus, list) else []
    kinds = [f"{names.count(name)} x {name}" for name in dict.fromkeys(names)]
    return ", ".join([*kinds, f"{hardware.get('cpu', '?')}, {hardware.get('cores', '?')} cores"])


def _data(data: dict[str, object]) -> str:
    return f"{data.get('name', '?')} {str(data.get('identity') or '?')[:12]}"
