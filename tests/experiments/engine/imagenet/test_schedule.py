"""The authors' image schedule: timm's cosine, stepped once an epoch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experiments import train
from experiments.config import compose
from experiments.engine.families.imagenet.schedule import EpochCosine, rate
from experiments.engine.optimizer import LRPEAdam
from experiments.engine.patches import import_torchvision
from experiments.engine.translate import fairseq_config
from experiments.util.errors import UserError
from tests.experiments.conftest import environment, only_run
from tests.experiments.engine.imagenet.conftest import TINY
from tests.experiments.engine.support import ONE, curve_of

PAPER = {"epochs": 300, "warmup_epochs": 10, "peak": 2e-3, "start": 1e-6, "end": 1e-5}


def test_the_paper_recipe_has_the_published_rates() -> None:
    rates = [rate(epoch, **PAPER) for epoch in range(300)]
    assert rates[0] == rates[1] == 1e-6
    assert rates[10] == pytest.approx(1.8001e-3, abs=1e-9)
    assert max(rates) == rates[11] == pytest.approx(1.9945e-3, abs=1e-7)


@pytest.mark.parametrize(("epochs", "warmup"), [(300, 10), (300, 5), (50, 5), (3, 1), (4, 0)])
def test_every_epoch_has_the_rate_that_timm_sets(epochs: int, warmup: int) -> None:
    import_torchvision()
    from timm.scheduler.cosine_lr import CosineLRScheduler

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2e-3)
    theirs = CosineLRScheduler(optimizer, t_initial=epochs, lr_min=1e-5, warmup_t=warmup, warmup_lr_init=1e-6)
    for epoch in range(epochs):
        if epoch or warmup:  # without warm-up timm leaves the first epoch at the optimizer's own rate, as at t = 0
            expected = optimizer.param_groups[0]["lr"]
            ours = rate(epoch, epochs=epochs, warmup_epochs=warmup, peak=2e-3, start=1e-6, end=1e-5)
            assert ours == pytest.approx(expected, rel=1e-12)
        theirs.step(epoch)


def test_published_images_change_the_rate_between_epochs_alone(image_data: Path, tmp_path: Path) -> None:
    words = ["experiment=imagenet", f"paths.data={image_data}", "data=cifar10", "profile=paper", "recipe.batch_size=12"]
    fairseq = fairseq_config(compose([*words, "protocol=published"]), tmp_path, ONE)
    updates = fairseq.lr_scheduler.updates_per_epoch
    assert fairseq.lr_scheduler.total_updates == 300 * updates
    taken = EpochCosine(fairseq.lr_scheduler, LRPEAdam(fairseq.optimizer, [torch.nn.Parameter(torch.zeros(1))]))
    rates = [taken.step_update(update) for update in range(300 * updates)]
    assert rates == [rate(update // updates, **PAPER) for update in range(300 * updates)]
    assert len(set(rates[:updates])) == 1 < updates
    without = fairseq_config(compose([*words, "protocol=published", "recipe.warmup_epochs=0"]), tmp_path, ONE)
    assert EpochCosine(without.lr_scheduler, taken.optimizer).step_update(0) == 2e-3
    controlled = fairseq_config(compose([*words, "protocol=controlled"]), tmp_path, ONE)
    assert controlled.lr_scheduler._name == "cosine"


def test_a_published_run_logs_these_rates(image_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [word for word in TINY if not word.startswith("recipe.validate")]
    for name, value in environment(image_data, tmp_path).items():
        monkeypatch.setenv(name, value)
    assert (
        train.run(compose([*words, "protocol=published", "recipe.batch_size=12", "engine.samples_per_device=12"])) == 0
    )
    rows = [row for row in curve_of(only_run(tmp_path)) if row["split"] == "train"]
    # fairseq logs the rate of the update that follows
    expected = [
        rate(update // 3, epochs=3, warmup_epochs=1, peak=4e-3, start=1e-6, end=1e-5) for update in range(1, 10)
    ]
    assert [row["learning_rate"] for row in rows] == pytest.approx(expected, rel=1e-3)


def test_text_has_no_such_schedule() -> None:
    with pytest.raises(UserError, match="recipe.schedule=cosine_per_epoch needs recipe.epochs, which experiment="):
        compose(["recipe.schedule=cosine_per_epoch"])
