"""A table of fine-tuned models as jobs: pretraining first, fine-tuning as it depends on that, then the table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.experiments.conftest import TINY_GLUE
from tests.experiments.engine.support import record_of
from tests.slurm.jobs import queue
from tests.slurm.scenarios import Scenarios, scenario

TABLE = [
    *("table=glue", "profile=small", "rows=rope", "columns=rte", "seeds=1,2", *TINY_GLUE[1:]),
    *("launcher=slurm", "hydra.launcher.gpus_per_node=null", "hydra.launcher.cpus_per_task=1"),
    "hydra.launcher.mem_gb=1",
]


@dataclass(frozen=True)
class Table:
    """What the command said that left, what the queue was then, and what the command said that came back."""

    left: str
    queue: str
    back: str
    folder: Path


def fine_tuned(scenarios: Scenarios) -> Table:
    account = scenarios.open("table")
    code, left = account.run(*TABLE, "wait=false", module="experiments.table")
    assert code == 0, left
    shown = queue()
    back = account.ended(account.start(*TABLE, module="experiments.table"), 0)
    return Table(left, shown, back, account.results)


@scenario(fine_tuned)
def test_fine_tuning_waits_for_its_pretraining_and_the_table_for_both(outcome: Table) -> None:
    jobs = {
        path.stem: json.loads(path.read_text())["job"] for path in (outcome.folder / "slurm" / "jobs").glob("*.json")
    }
    pretraining = [job for name, job in jobs.items() if name.startswith("blm-")]
    fine_tuning = [job for name, job in jobs.items() if name.startswith("glue-")]
    assert (len(pretraining), len(fine_tuning)) == (2, 2)
    for job in fine_tuning:
        assert any(job in line and "(Dependency)" in line for line in outcome.queue.splitlines()), outcome.queue
    for seed in (1, 2):
        (first,) = outcome.folder.glob(f"runs/blm/*/seed{seed}")
        (second,) = outcome.folder.glob(f"runs/glue/*/seed{seed}")
        assert record_of(first)["segments"][-1]["ended"] <= record_of(second)["segments"][0]["started"]
    assert "jobs are queued or running already" in outcome.back
    (table,) = outcome.folder.glob("tables/glue-small-controlled*.md")
    assert "| RoPE |" in table.read_text()
