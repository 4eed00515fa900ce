"""Mistaken words on a command line: one message that names the mistake and the remedy, and nothing left behind; or they
are no mistake, and then the config says what was written."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.experiments.conftest import TINY, TINY_BLM, TINY_GLUE, run_module
from tests.experiments.engine.imagenet.conftest import TINY as TINY_IMAGES
from tests.faults.counts import Tally
from tests.faults.mistakes import mutate, names, remedies
from tests.faults.rehearsal import Rehearsal

TRAIN = "experiments.train"
RUNS = {
    "alm": [*TINY, "encoding=lrpe_orthogonal", "protocol=controlled", "seed=1", "encoding.options.projection=dct"],
    "blm": [*TINY_BLM, "encoding=rope", "protocol=published", "seed=2", "recipe.mask_probability=0.2"],
    "glue": [*TINY_GLUE, "task=rte", "encoding=rope", "pretraining.start=scratch", "recipe.head_dropout=0.1"],
    "imagenet": [*TINY_IMAGES, "encoding=rope", "model.drop_path=0.1", "recipe.crop=none", "recipe.mixup=0.2"],
}
CONFLICTS = [
    "model.num_heads=3", "model.embed_dim=6", "attention=softmax", "encoding.options.core=unitary", "encoding=spe",
    "recipe.context_window=99", "recipe.adam_betas=[0.9]", "experiment=alm", "task=rte", "preset=blm_demo",
    "protocol.absolute=learned", "+recipe.new=1", "pretraining.start=checkpoint", "recipe.mix_group=3",
    "recipe.tokens_per_sample=100000", "model.patch_size=3", "recipe.warmup_epochs=9", "model.normalize_before=2",
]  # fmt: skip
BLOCKS, PER_BLOCK = 4, 22
OTHERS = {
    "experiments.table": (["table=alm", "profile=demo", "rows=none,rope", "seeds=2", "dry_run=true", "tracker=disabled",
                           "data=wikitext2"], 40),
    "experiments.tune": (["study=lr", "recipe.learning_rate=log(1e-4,1e-2)", "trials=1", "encoding=rope",
                          "metric=valid_loss", "sampler_seed=3", "data=wikitext2"], 30),
    "experiments.submission": (["encoding=rope", "profile=demo", "seed=1", "partial=false"], 10),
    "experiments.evaluate": (["run=nowhere", "split=test", "context_window=4", "device=cpu", "samples=2",
                              "length=16,32", "record=false"], 15),
    "experiments.generate": (["run=nowhere", "tokens=4", "temperature=0.5", "top_k=2", "seed=1", "unknown=true"], 15),
    "experiments.inspect": (["run=nowhere", "show=all", "count=2", "layer=0", "image_size=8"], 15),
    "experiments.runs": (["list", "experiment=alm", "encoding=rope", "seed=1", "status=finished"], 10),
    "experiments.figures": (["experiment=alm", "only=curves", "measure=false"], 10),
    "experiments.dashboard": (["results=nowhere", "out=page.html"], 10),
}  # fmt: skip
# What the words above name is not there: a command that says so has read them all.
ABSENT = ("no checkpoint at nowhere", "no such finished run", "answers are missing", "no run below nowhere")


@pytest.fixture
def rehearsal(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rehearsal:
    return Rehearsal(data, tmp_path / "results", monkeypatch)


def attempt(rehearsal: Rehearsal, module: str, words: Sequence[str], changed: str) -> str:
    """How a command with a changed word ended: ``refused`` or ``accepted``.

    Raises:
        AssertionError: in neither of the ways that are right.
    """
    ended, left = rehearsal.call(module, words)
    assert "Traceback" not in ended.err + ended.out, ended.err[-2000:]
    if ended.code and (changed.startswith("run=") or not ended.message.startswith(ABSENT)):
        # of two words that do not go together either may be named, and any that another experiment does not have
        guilty = words if changed in CONFLICTS or "experiment" in changed else [changed]
        assert any(names(ended.message, word) for word in guilty), f"does not name it: {ended.message}"
        assert remedies(ended.message), f"no remedy: {ended.message}"
        assert not left, left
        return "refused"
    assert rehearsal.has_read, f"nothing was read, and nothing said: {ended}"
    misread = rehearsal.misread(words if module == TRAIN else [word for word in words if word == changed])
    assert not misread, misread
    return "accepted"


def attempts(rehearsal: Rehearsal, module: str, words: Sequence[str], count: int, seed: int, tally: Tally) -> None:
    """Try ``count`` lines with a mistake, and only then tell of those that ended in a wrong way."""
    draw, kind, failures = random.Random(seed), module.partition(".")[2], []
    for _ in range(count):
        mistaken, changed = mutate(words, CONFLICTS if module == TRAIN else (), draw)
        try:
            with tally(f"mistaken words, {kind}") as how:
                how.append(attempt(rehearsal, module, mistaken, changed))
        except AssertionError as error:
            failures.append(f"{kind} {changed}: {str(error)[-1500:]}")
    assert not failures, "\n\n".join(failures)


@pytest.mark.faults
@pytest.mark.parametrize("block", range(BLOCKS))
@pytest.mark.parametrize("experiment", RUNS)
def test_words_of_a_run(experiment: str, block: int, rehearsal: Rehearsal, tally: Tally) -> None:
    attempts(rehearsal, TRAIN, RUNS[experiment], PER_BLOCK, 100 + block, tally)


@pytest.mark.faults
@pytest.mark.parametrize("module", OTHERS)
def test_words_of_the_other_commands(module: str, rehearsal: Rehearsal, tally: Tally) -> None:
    words, count = OTHERS[module]
    attempts(rehearsal, module, words, count, 8, tally)


def test_a_sample_of_words(rehearsal: Rehearsal, tally: Tally) -> None:
    attempts(rehearsal, TRAIN, RUNS["alm"], 8, 9, tally)


@pytest.mark.faults
@pytest.mark.parametrize("experiment", RUNS)
def test_words_without_a_mistake_are_accepted(experiment: str, rehearsal: Rehearsal) -> None:
    assert attempt(rehearsal, TRAIN, RUNS[experiment], "") == "accepted"


@pytest.mark.faults
def test_a_process_of_its_own_says_the_same(rehearsal: Rehearsal, data: Path, tmp_path: Path) -> None:
    words = [*TINY, "recipe.learning_rate=nan"]
    done = run_module(TRAIN, data, tmp_path, *words, check=False)
    here, _ = rehearsal.call(TRAIN, words)
    assert (done.returncode, done.stderr) == (here.code, here.err)
