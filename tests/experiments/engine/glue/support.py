"""Small sentence tasks in GLUE's own files."""

from __future__ import annotations

import random
from pathlib import Path

from tests.experiments.conftest import WORDS

ENCODING = "encoding=lrpe_unitary_learned"
TASK_ROWS = {"train": 40, "dev": 12, "test": 9}


def write_tables(folder: Path) -> Path:
    """Three of GLUE's tasks in its own files: one sentence; pairs with named classes; pairs with a score."""
    draw = random.Random(1)

    def sentence(length: int) -> str:
        return " ".join(draw.choices(WORDS, k=length))

    for task in ("CoLA", "RTE", "STS-B"):
        (folder / task).mkdir(parents=True)
    for split, rows in TASK_ROWS.items():
        labeled = split != "test"
        cola = [] if labeled else ["index\tsentence"]
        rte = ["index\tsentence1\tsentence2" + ("\tlabel" if labeled else "")]
        stsb = ["index\tsentence1\tsentence2" + ("\tscore" if labeled else "")]
        for row in range(rows):
            positive = row % 2 == 0
            words = sentence(6) + (" word7" if positive else " word8")  # what decides
            cola.append(f"src\t{int(positive)}\t\t{words}" if labeled else f"{row}\t{words}")
            name = "entailment" if positive else "not_entailment"
            rte.append(f"{row}\t{words}\t{sentence(30)}" + (f"\t{name}" if labeled else ""))
            stsb.append(f"{row}\t{words}\t{sentence(4)}" + (f"\t{draw.choice([0, 2.5, 5])}" if labeled else ""))
        for task, lines in (("CoLA", cola), ("RTE", rte), ("STS-B", stsb)):
            (folder / task / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
