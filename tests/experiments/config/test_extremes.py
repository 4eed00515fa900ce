"""Every recipe at the ends of what its numbers can be: composed, or refused by the key's name."""

from __future__ import annotations

import pytest

from experiments.config import compose
from experiments.util.errors import UserError

EXPERIMENTS = ("alm", "blm", "glue", "imagenet")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_seeds_leave_room_for_the_epoch_and_the_rank(experiment: str) -> None:
    assert compose([f"experiment={experiment}", f"seed={2**31 - 1}"]).seed == 2**31 - 1
    with pytest.raises(UserError, match=r"seed=2147483648: expected a number of at most 2147483647"):
        compose([f"experiment={experiment}", f"seed={2**31}"])


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (
            ["experiment=alm", "recipe.schedule=cosine", "recipe.max_update=5", "recipe.warmup_updates=5"],
            "warmup_updates",
        ),
        (["experiment=imagenet", "recipe.max_update=5", "recipe.warmup_updates=5"], "warmup_updates"),
        (["experiment=imagenet", "recipe.learning_rate=1e-6"], "learning_rate"),
        (["experiment=imagenet", "recipe.interpolation=bicubik"], "bicubic"),
        (["experiment=imagenet", "recipe.auto_augment=random"], "auto_augment"),
        (["experiment=alm", "model.attention_dropout=0.3"], "model.dropout"),
        (["experiment=blm", "model.attention_dropout=0.3"], "model.dropout"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_by_name(words: list[str], key: str) -> None:
    with pytest.raises(UserError, match=key):
        compose(words)
