"""What ``conf/table/*.yaml`` may say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.table import main
from experiments.tables.spec import load_table
from experiments.util.errors import UserError
from tests.experiments.tables.support import ROOT


def test_the_projects_own_table_and_reference() -> None:
    table = load_table("alm")
    assert [row.key for row in table.rows] == [
        "none", "absolute", "rope", "spe", "permuteformer", "lrpe_unitary", "lrpe_unitary_learned", "lrpe_orthogonal",
        "lrpe_permutation",
    ]  # fmt: skip
    assert [row.key for row in table.select("demo", None)] == [
        "none", "rope", "lrpe_unitary", "lrpe_orthogonal", "lrpe_permutation",
    ]  # fmt: skip
    assert len(table.select("laptop", None)) == len(table.select("paper", None)) == 9
    assert [len(table.seeds(profile)) for profile in ("demo", "laptop", "small", "paper")] == [1, 3, 3, 5]
    for row in table.rows:
        (override,) = row.overrides
        assert (ROOT / "conf" / "encoding" / f"{override.partition('=')[2]}.yaml").exists(), row.key


def described(tmp_path: Path, **changes: Any) -> Path:
    text: dict[str, Any] = {
        "title": "T",
        "experiment": "alm",
        "baseline": "none",
        "rows": {"none": {"label": "N", "overrides": ["encoding=none"]}},
        "columns": [{"metric": "metrics.x", "header": "X", "direction": "min", "digits": 1}],
        "seeds_by_profile": {"demo": 1},
    }
    (tmp_path / "t.yaml").write_text(json.dumps({**text, **changes}))
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"titel": "x"}, "unknown key 'titel'; did you mean 'title'"),
        ({"rows": {}}, "'rows' is missing"),
        ({"baseline": "non"}, "baseline=non: no such row; did you mean 'none'"),
        ({"rows_by_profile": {"demo": ["nome"]}}, r"rows_by_profile.demo=nome: no such row; did you mean 'none'"),
        ({"rows": {"none": {"label": "N"}}}, "rows.none: expected a label and overrides"),
        ({"rows": {"none": {"overrides": ["a=b"], "lable": "x"}}}, "unknown key 'lable'; did you mean 'label'"),
        ({"columns": [{"metric": "m", "header": "h", "digits": 1}]}, r"columns\[0\]: 'direction' is missing"),
        (
            {"columns": [{"metric": "m", "header": "h", "digits": 1, "direction": "up"}]},
            "direction=up: expected one of",
        ),
        ({"columns": [{"metric": "m", "header": "h", "digits": -1, "direction": "min"}]}, "digits=-1"),
        (
            {"columns": [{"metric": "m", "header": "h", "digits": 1, "direction": "min", "rows": ["nome"]}]},
            "columns.m.rows=nome: no such row; did you mean 'none'",
        ),
        (
            {"columns": [{"metric": "a.m", "header": "h", "digits": 1, "direction": "min"}] * 2},
            "2 columns are called 'm'",
        ),
    ],
)
def test_a_wrong_description_is_one_clear_message(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    load_table("t", described(tmp_path))
    with pytest.raises(UserError, match=message):
        load_table("t", described(tmp_path, **changes))


def test_an_unknown_table_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"table=aml: unknown; did you mean 'alm'"):
        main(["table=aml"])
