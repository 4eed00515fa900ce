"""Words on the command line."""

from __future__ import annotations

import re

import pytest

from experiments.tables.request import parse_request
from experiments.util.errors import UserError


def test_request_from_words() -> None:
    request = parse_request(
        ["table=alm", "profile=small", "seeds=3", "rows=rope,none", "jobs=2", "protocol=published,controlled",
         "recipe.max_update=10", "tracker=disabled"]
    )  # fmt: skip
    assert request.seeds == (1, 2, 3)
    assert not request.dry_run
    assert parse_request(["table=alm", "--dry-run"]) == parse_request(["table=alm", "dry_run=true"])
    assert parse_request(["table=alm", "seeds=5,2"]).seeds == (2, 5)
    assert parse_request(["table=alm", "seeds=7,"]).seeds == (7,)
    assert (request.rows, request.launching.jobs, request.protocols) == (
        ("rope", "none"),
        2,
        ("published", "controlled"),
    )
    assert request.overrides == ("recipe.max_update=10", "tracker=disabled")
    assert re.fullmatch(r"alm-small-published-controlled-[0-9a-f]{6}", request.stem)
    assert parse_request(["table=alm", "tracker=disabled", "engine.threads=1"]).stem == "alm-demo-controlled"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table=alm", "seads=3"], "unknown key 'seads'; did you mean 'seeds'"),
        (["table=alm", "job=3"], "unknown key 'job'; did you mean 'jobs'"),
        (["table=alm", "profil=demo"], "unknown key 'profil'; did you mean 'profile'"),
        (["table=alm", "seed=3"], "a table takes seeds="),
        (["table=alm", "seeds=0"], "seeds=0: expected a whole number of at least 1"),
        (["table=alm", "seeds=a"], "seeds=a: expected how many"),
        (["table=alm", "jobs=0"], "jobs=0"),
        (["table=alm", "seeds=4000000000"], "seeds=4000000000: expected a whole number"),
        (["table=alm", "dry_run=yes"], "dry_run=yes: expected true or false"),
        (["table=alm", "--jobs"], "'--jobs': expected key=value"),
        (["table=alm", "table=alm"], "given twice"),
        (["table=alm", "hydra/launcher=slurm"], "takes launcher=slurm"),
        (["table=alm", "launcher=slurmm"], "launcher=slurmm: unknown; did you mean 'slurm'"),
        (["table=alm", "wait=false"], "'wait=false' has no effect without launcher=slurm"),
        (["table=alm", "hydra.launcher.partition=gpu"], "has no effect without launcher=slurm"),
        (["table=alm", "launcher=slurm", "jobs=2"], "jobs=2 has no effect with launcher=slurm"),
        (["table=alm", "launcher=slurm", "render_only=true"], "launcher=slurm has no effect with render_only=true"),
        (["profile=demo"], "table=... is missing"),
    ],
)
def test_wrong_words_are_one_clear_message(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        parse_request(words)


def test_a_launcher_is_no_other_table() -> None:
    words = ["table=alm", "launcher=slurm", "wait=false", "hydra.launcher.partition=gpu"]
    request = parse_request(words)
    assert request.launching.on_slurm
    assert not request.launching.wait
    assert request.launching.settings == ("hydra.launcher.partition=gpu",)
    assert request.overrides == ()
    assert request.stem == "alm-demo-controlled"


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse_request(["--help"])
    assert not stopped.value.code
    assert "python -m experiments.table table=alm profile=demo" in capsys.readouterr().out
