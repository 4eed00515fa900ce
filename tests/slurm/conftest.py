"""The cluster, and what the scenario of a test returned."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import data  # noqa: F401 - a fixture
from tests.slurm import cluster
from tests.slurm.jobs import OVER, Account
from tests.slurm.scenarios import MARK, Scenarios, arguments_of


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("slurm")


@pytest.fixture(scope="session")
def slurm() -> Iterator[None]:
    """The cluster, from nothing to nothing. Where one that nothing speaks against does not come up, its tests skip, and
    fail with ``LRPE_SLURM=required``."""
    if reason := cluster.obstacle():
        pytest.skip(f"no SLURM here: {reason}")
    cluster.down()
    try:
        cluster.up()
    except cluster.ClusterError as error:
        shown = cluster.logs()
        cluster.down()
        if os.environ.get("LRPE_SLURM") == "required":
            pytest.fail(f"{error}\n{shown}")
        pytest.skip(f"no SLURM here: {error}\n{shown}")
    yield
    if not os.environ.get("LRPE_KEEP_SLURM"):
        cluster.down()


@pytest.fixture(scope="session")
def scenarios(
    slurm: None,
    data: Path,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Scenarios]:
    root = tmp_path_factory.mktemp("accounts")
    yield Scenarios(lambda name, **variables: Account(data, root / name, **variables), request.session.items)
    OVER.set()


@pytest.fixture
def outcome(scenarios: Scenarios, request: pytest.FixtureRequest) -> Any:
    """What this test's scenario returned."""
    mark = request.node.get_closest_marker(MARK)
    return scenarios.start(mark.args[0], **arguments_of(request.node)).result()
