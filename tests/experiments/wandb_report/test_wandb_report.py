"""The workspace and the report are built for real; what is faked is ``wandb.Api``, behind which the server lies."""

from __future__ import annotations

import base64
import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from experiments.figures.groups import group_runs
from experiments.figures.style import COLORS
from experiments.runs import scan
from experiments.tracking.rows import as_wandb_row
from experiments.util.errors import UserError
from experiments.wandb_report import __main__ as wandb_report
from experiments.wandb_report.__main__ import main
from tests.experiments.conftest import ROOT
from tests.experiments.run_store import history_of, write_run

wandb = pytest.importorskip("wandb")
panels = pytest.importorskip("experiments.wandb_report.panels")


class Server:
    """wandb's GraphQL as far as views go: it keeps what it is sent and gives it back."""

    def __init__(self, projects: tuple[str, ...] = ("lrpe",)) -> None:
        self.known_projects = projects
        self.views: dict[str, dict[str, Any]] = {}
        self.default_entity = "me"
        self.refuse: Exception | None = None
        self._service_api = SimpleNamespace(app_url="https://wandb.example", execute_graphql=self.execute)

    def projects(self, entity: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name) for name in self.known_projects]

    def execute(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if self.refuse is not None:
            raise self.refuse
        if "upsertView" in query:
            return {"upsertView": {"view": self._upsert(variables), "inserted": True}}
        if "ProjectInternalId" in query:
            known = variables["projectName"] in self.known_projects
            return {"project": {"internalId": "UHJvamVjdA=="} if known else None}
        if "SpecificReport" in query:
            return {"view": self.views.get(variables["reportId"])}
        named = [view for view in self.views.values() if view["name"] == variables["viewName"]]
        return {"project": {"allViews": {"edges": [{"node": view} for view in named]}}}

    def _upsert(self, variables: dict[str, Any]) -> dict[str, Any]:
        view_id = variables.get("id") or base64.b64encode(f"View:{len(self.views)}".encode()).decode()
        self.views[view_id] = {
            "id": view_id,
            "name": variables["name"],
            "displayName": variables["displayName"],
            "description": variables["description"],
            "type": variables["type"],
            "project": {"id": "1", "name": variables["projectName"], "entityName": variables["entityName"]},
            "spec": variables["spec"],
        }
        return dict(self.views[view_id])

    def spec(self, kind: str, name: str = "") -> dict[str, Any]:
        """The one view of a kind (``runs``: reports, ``project-view``: workspaces) whose name holds ``name``."""
        (view,) = [view for view in self.views.values() if view["type"] == kind and name in view["displayName"]]
        return json.loads(view["spec"])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(wandb, "Api", lambda *_, **__: made)
    monkeypatch.setattr(wandb_report, "has_credentials", lambda module: True)
    monkeypatch.delenv("WANDB_ENTITY", raising=False)
    return made


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for seed, loss in ((1, 3.0), (2, 3.2)):
        write_run(tmp_path, seed=seed, loss=loss)
    write_run(tmp_path, encoding="none", loss=3.5)
    write_run(tmp_path, encoding="spe", status="failed")
    write_run(tmp_path, experiment="glue", quantity="accuracy", metrics={"valid_accuracy": 0.75})
    return tmp_path


def test_a_report_and_a_view_an_experiment_are_created_and_then_updated(
    server: Server, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"results={results}"]) == 0
    addresses = capsys.readouterr().out.split()
    assert len(addresses) == len(server.views) == 3
    assert all(address.startswith("https://wandb.example/me/lrpe") for address in addresses)
    assert sorted(view["displayName"] for view in server.views.values()) == [
        "Linearized relative positional encodings",
        "lrpe alm",
        "lrpe glue",
    ]
    before = {view_id: view["name"] for view_id, view in server.views.items()}
    write_run(results, encoding="lrpe_d", loss=2.9)
    assert main([f"results={results}"]) == 0
    assert capsys.readouterr().out.split() == addresses, "the same views"
    assert server.views.keys() == before.keys()
    assert "lrpe_d" in json.dumps(server.spec("runs"))
    assert "alm%2Flrpe_d" in json.dumps(server.spec("project-view", "alm"))


def test_lines_are_means_over_the_seeds_of_an_encoding_with_their_range(server: Server, results: Path) -> None:
    main([f"results={results}"])
    section = server.spec("project-view", "alm")["section"]
    (runs,) = section["runSets"]
    assert runs["grouping"] == [{"section": "run", "name": "group"}]
    (tag,) = runs["filters"]["filters"]
    assert (tag["key"]["name"], tag["op"], tag["value"]) == ("tags", "IN", ["alm"])
    shown = section["panelBankConfig"]["sections"][0]["panels"]
    lines = {panel["config"]["chartTitle"]: panel["config"] for panel in shown if "Line" in panel["viewType"]}
    assert list(lines) == ["valid/perplexity", "train/loss", "valid/loss"]
    for name, line in lines.items():
        assert (line["xAxis"], line["metrics"]) == ("update", [name])
        assert (line["groupBy"], line["groupAgg"], line["groupArea"]) == ("group", "mean", "minmax")
    assert lines["valid/perplexity"]["yLogScale"] is True
    bars = [panel["config"]["metrics"] for panel in shown if "Bar" in panel["viewType"]]
    assert ["summary_metrics.metrics/test_perplexity"] in bars
    assert set(section["customRunColors"].values()) <= set(COLORS)


def test_every_name_in_a_panel_is_one_that_runs_log(server: Server, results: Path) -> None:
    main([f"results={results}"])
    for experiment, quantity in (("alm", None), ("glue", "accuracy")):
        logged = {name for row in history_of(3.0, quantity=quantity) for name in as_wandb_row(row)}
        section = server.spec("project-view", experiment)["section"]
        for panel in section["panelBankConfig"]["sections"][0]["panels"]:
            if "Line" in panel["viewType"]:
                assert set(panel["config"]["metrics"]) <= logged
    glue = json.dumps(server.spec("project-view", "glue"))
    assert "valid/accuracy" in glue
    assert "perplexity" not in glue, "nothing is wired to one experiment"


def test_the_report_has_a_section_a_setting_with_the_means_of_its_records(server: Server, results: Path) -> None:
    write_run(results, encoding="none", loss=3.0, profile__name="paper", recipe__max_update=60)
    main([f"results={results}"])
    blocks = server.spec("runs")["blocks"]
    titles = [block["children"][0]["text"] for block in blocks if block["type"] == "heading"]
    assert titles == [
        "alm on pydoc (demo, controlled)",
        "alm on pydoc (paper, controlled)",
        "glue on pydoc (demo, controlled)",
    ]
    grids = [block for block in blocks if block["type"] == "panel-grid"]
    tags = [[found["value"][0] for found in grid["metadata"]["runSets"][0]["filters"]["filters"]] for grid in grids]
    assert tags[1] == ["alm", "pydoc", "paper", "controlled"]
    assert len(grids) == 3


def test_the_table_holds_means_and_deviations_of_finished_runs_only(results: Path) -> None:
    alm, glue = group_runs(scan(results))
    lines = panels.summary_table(alm).splitlines()
    assert lines[0] == "| encoding | seeds | test perplexity | parameters | speed |"
    low, high = math.exp(3.1), math.exp(3.3)
    mean, spread = (low + high) / 2, (high - low) / math.sqrt(2)
    assert f"| rope | 2 | {mean:.2f} ± {spread:.3f} | 1,203,200 | 9,000 tokens/s |" in lines
    assert f"| none | 1 | {math.exp(3.6):.2f} | 1,203,200 | 9,000 tokens/s |" in lines
    assert not any(line.startswith("| spe ") for line in lines)
    assert "| rope | 1 | 0.75 |" in panels.summary_table(glue)


def test_the_entity_and_project_asked_for_are_used(
    server: Server, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.known_projects = ("study",)
    monkeypatch.setenv("WANDB_ENTITY", "lab")
    main([f"results={results}", "project=study"])
    main([f"results={results}", "project=study", "entity=team"])
    owners = [(view["project"]["entityName"], view["project"]["name"]) for view in server.views.values()]
    assert owners == [("lab", "study")] * 3 + [("team", "study")] * 3
    assert json.loads((results / "wandb_views.json").read_text()).keys() == {"lab/study", "team/study"}


def test_a_view_that_somebody_deleted_is_created_anew(
    server: Server, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([f"results={results}"])
    server.views.clear()
    assert main([f"results={results}"]) == 0
    assert capsys.readouterr().err.count("is gone; it is created anew") == 3
    assert len(server.views) == 3


def test_what_the_server_refuses_is_one_message(server: Server, results: Path) -> None:
    server.refuse = ConnectionError("no route to host\nmore")
    with pytest.raises(UserError, match=r"wandb refused: no route to host$"):
        main([f"results={results}"])
    server.refuse = None
    with pytest.raises(UserError, match="'me/other' not found"):
        main([f"results={results}", "project=other"])
    (results / "wandb_views.json").write_text("{")
    with pytest.raises(UserError, match="remove it"):
        main([f"results={results}"])


def test_a_server_that_cannot_be_reached_does_not_make_views_twice(server: Server, results: Path) -> None:
    main([f"results={results}"])
    server.refuse = ConnectionError("no route to host")
    with pytest.raises(UserError, match="no route to host"):
        main([f"results={results}"])
    server.refuse = None
    main([f"results={results}"])
    assert len(server.views) == 3


def test_without_runs_or_with_a_misspelt_key_nothing_is_asked(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to make panels of"):
        main([f"results={tmp_path}"])
    with pytest.raises(UserError, match="did you mean 'entity'"):
        main([f"results={tmp_path}", "entiti=x"])
    assert server.views == {}


def test_without_an_account_it_says_what_to_do(results: Path, tmp_path: Path) -> None:
    environment = {"PATH": "", "HOME": str(tmp_path), "NETRC": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-m", "experiments.wandb_report", f"results={results}"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: this needs an account on wandb: run  wandb login ")
