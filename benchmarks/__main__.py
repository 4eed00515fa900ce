"""Measure speed on this machine: JSON and benchmarks/RESULTS.md (make bench; ARGS="encoding" for one subject)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import attention, encoding, generation, launches, memory, output_layer, training
from benchmarks.measure import floors, keep_memory, machine

SUBJECTS = {
    "encoding": encoding.measure,
    "attention": attention.measure,
    "launches": launches.measure,
    "memory": memory.measure,
    "output_layer": output_layer.measure,
    "training": training.measure,
    "generation": generation.measure,
}
FOLDER = Path(__file__).parent


def render(results: dict[str, dict[str, Any]]) -> str:
    """All subjects as Markdown."""
    lines = [
        "# Speed, measured",
        "",
        "Rendered from `results.json` by `make bench`. Cases take turns in one process; a ratio is the median of the",
        "rounds' ratios, so that a disturbance of the machine meets both sides. Times are medians, with quartiles. The",
        "last column is the same ratio of processor time, where the run took it: other work disturbs it less.",
        "",
    ]
    for subject, result in results.items():
        place, rates = result["machine"], result["floors"]
        lines += [
            f"## {subject.replace('_', ' ').capitalize()}",
            "",
            f"{place['processor']}, {place['threads']} threads of {place['cores']} cores, Python {place['python']}, "
            f"torch {place['torch']}; load average {place['load_average']} at the start. "
            f"Floors in this run: copy {rates['copy_bytes_per_second'] / 1e9:.1f} GB/s (read + written), float32 "
            f"product {rates['matmul_flops'] / 1e9:.0f} GFLOP/s, batched 64 x 64 "
            f"{rates['batched_matmul_flops'] / 1e9:.0f} GFLOP/s.",
            "",
        ]
        for table in result["tables"]:
            if "reference" not in table:
                lines += [f"### {table['title']}", "", "| case | count |", "| --- | ---: |"]
                lines += [*(f"| {row['name']} | {row['count']:,} |" for row in table["rows"]), ""]
                continue
            lines += [
                *(f"### {table['title']}", ""),
                f"| case | ms | quartiles | over {table['reference']} | by processor time |",
                "| --- | ---: | ---: | ---: | ---: |",
            ]
            for row in table["rows"]:
                spread = f"{1000 * row['low']:.2f} to {1000 * row['high']:.2f}" if "low" in row else ""
                busy = f"{row['processor_ratio']:.3g}" if "processor_ratio" in row else ""
                lines.append(f"| {row['name']} | {1000 * row['median']:.2f} | {spread} | {row['ratio']:.3g} | {busy} |")
            lines += ["", *([table["note"], ""] if table["note"] else [])]
    return "\n".join(lines).rstrip() + "\n"


def main(chosen: list[str]) -> int:
    unknown = [name for name in chosen if name not in SUBJECTS]
    if unknown:
        print(f"error: no benchmark {unknown[0]!r}; there are: {', '.join(SUBJECTS)}", file=sys.stderr)
        return 2
    path = FOLDER / "results.json"
    keep_memory()
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in chosen or SUBJECTS:
        print(f"measuring {name}", flush=True)
        results[name] = {"machine": machine(), "floors": floors(), "tables": SUBJECTS[name]()}
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (FOLDER / "RESULTS.md").write_text(render(results), encoding="utf-8")
    print(f"written: {path}, {FOLDER / 'RESULTS.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
