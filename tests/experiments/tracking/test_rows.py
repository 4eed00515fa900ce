"""Names of rows and summaries in wandb."""

from __future__ import annotations

from experiments.tracking.rows import as_wandb_row, as_wandb_rows, as_wandb_summary, same
from tests.experiments.tracking.support import row


def test_a_row_has_its_axes_and_its_numbers_under_the_split() -> None:
    named = as_wandb_row(row(10))
    assert {name: named[name] for name in ("update", "tokens", "train/loss", "train/tokens_per_second")} == {
        "update": 10,
        "tokens": 100,
        "train/loss": 0.1,
        "train/tokens_per_second": 5.0,
    }
    assert "train/gradient_norm" not in named, "what is missing is left out"


def test_rows_of_one_update_are_one_row_in_wandb() -> None:
    merged = as_wandb_rows([row(10), row(10, "valid"), row(20)])
    assert list(merged) == [10, 20]
    assert {"train/loss", "valid/loss"} <= merged[10].keys()


def test_a_summary_joins_nested_names_and_calls_a_killed_run_dead() -> None:
    record = {"status": "running", "metrics": {"valid_loss": 2.5, "test_loss": None}, "parameters": {"total": 7}}
    assert as_wandb_summary(record) == {"status": "dead", "metrics/valid_loss": 2.5, "parameters/total": 7}
    assert as_wandb_summary({**record, "status": "failed", "error": "boom"})["error"] == "boom"


def test_rows_are_the_same_up_to_how_json_writes_numbers() -> None:
    assert same({"a": 1, "b": 0.1}, {"a": 1.0, "b": 0.1 + 1e-17})
    assert not same({"a": 1, "b": 0.1}, {"a": 1})
    assert not same({"a": 1.0}, {"a": 1.0 + 1e-9})
