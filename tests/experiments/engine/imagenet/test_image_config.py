"""Image configs: what the paper's and DeiT's recipes come to in fairseq's words, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.config import compose
from experiments.engine import optimizer  # noqa: F401 - registers itself
from experiments.engine.families import family_of
from experiments.engine.families.imagenet.model import LRPEVisionModel
from experiments.engine.model_config import model_values
from experiments.engine.translate import fairseq_config
from experiments.util.errors import UserError
from lrpe.models import VisionTransformer
from tests.experiments.engine.support import ONE


def composed(data: Path, *overrides: str) -> Any:
    return compose(["experiment=imagenet", f"paths.data={data}", "data=cifar10", *overrides])


def built(data: Path, *overrides: str) -> VisionTransformer:
    config = composed(data, "profile=paper", "recipe.batch_size=4", *overrides)
    with torch.device("meta"):
        model = family_of(config).build(config)
    assert isinstance(model, VisionTransformer)
    return model


def test_the_paper_recipe_reaches_fairseq(image_data: Path, tmp_path: Path) -> None:
    fairseq = fairseq_config(composed(image_data, "profile=paper", "recipe.batch_size=12"), tmp_path, ONE)
    assert fairseq.optimization.max_update == 300 * 3
    assert fairseq.lr_scheduler._name == "cosine"
    assert (fairseq.lr_scheduler.warmup_updates, fairseq.lr_scheduler.lr_period_updates) == (30, 870)
    assert (fairseq.lr_scheduler.warmup_init_lr, fairseq.lr_scheduler.min_lr) == (1e-6, 1e-5)
    assert fairseq.optimization.lr == [2e-3]
    assert fairseq.dataset.validate_interval_updates == 3
    assert (fairseq.checkpoint.best_checkpoint_metric, fairseq.checkpoint.maximize_best_checkpoint_metric) == (
        "top1",
        True,
    )
    augmentation = json.loads(fairseq.task.augmentation)
    assert (augmentation["mixup"], augmentation["cutmix"], augmentation["repeats"]) == (0.8, 1.0, 3)
    assert augmentation["auto_augment"] == "rand-m9-mstd0.5-inc1"
    assert [model_values(fairseq.model)[name] for name in ("num_layers", "embed_dim", "patch_size")] == [12, 384, 16]
    assert fairseq.dataset.num_workers == 8


def test_published_rows_are_the_authors_models(image_data: Path) -> None:
    """As docs/protocols-models.md has it."""
    rows = {
        "absolute": ("none", "denominator"),
        "rope": ("rope", "denominator"),
        "permuteformer": ("permuteformer", "denominator"),
        "spe": ("spe", "denominator"),
        "lrpe_orthogonal": ("lrpe", "layernorm"),
    }
    for label, (name, normalizer) in rows.items():
        model = built(image_data, "protocol=published", f"encoding={label}")
        config, attention = model.config, model.layers[3].attention
        assert (config.encoding["name"], config.normalizer, config.absolute) == (name, normalizer, "learned")
        assert attention.query_projection.bias is None
        assert attention.output_projection.bias is not None
        assert (attention.denominator_from, attention.eps) == ("plain", 1e-4)
        assert {layer.drop_path.rate for layer in model.layers} == {0.1}
        if name not in ("none", "spe"):
            assert config.encoding["axes"] == "shared"
        assert attention.encoding.log_decay is None
    assert built(image_data, "protocol=published", "encoding=none").config.absolute == "none"


def test_controlled_rows_differ_in_the_encoding_alone(image_data: Path) -> None:
    configs = [built(image_data, f"encoding={label}").config for label in ("none", "rope", "lrpe_unitary", "spe")]
    for config in configs:
        same = {key: value for key, value in vars(config).items() if key != "encoding"}
        assert same == {key: value for key, value in vars(configs[0]).items() if key != "encoding"}
    assert configs[1].encoding["axes"] == "own"
    assert [layer.drop_path.rate for layer in built(image_data).layers][::11] == [0.0, 0.1]


def test_every_switch_of_the_published_details_is_a_key_of_its_own(image_data: Path) -> None:
    words = ["encoding=rope", "protocol=published", "model.query_bias=true", "model.denominator_from=encoded"]
    model = built(image_data, *words)
    assert model.layers[0].attention.query_projection.bias is not None
    assert model.layers[0].attention.denominator_from == "encoded"


def test_decay_spares_vectors_angles_and_positions(image_data: Path) -> None:
    config = composed(image_data, "encoding=lrpe_orthogonal", "protocol.absolute=learned", "model.pooling=class_token")

    def decayed(**changes: Any) -> set[str]:
        section = {**family_of(config).model(config), **changes}
        model = LRPEVisionModel(type("Section", (), section)(), 3)
        return {name for name, p in model.named_parameters() if not hasattr(p, "optim_overrides")}

    weights = decayed()
    assert all(name.endswith("weight") for name in weights)
    assert not any(part in name for name in weights for part in ("norm", "angles", "absolute", "class_token"))
    assert any("query_projection" in name for name in weights)
    assert decayed(decay_angles=True) - weights == {"model.absolute.weight"}


def test_published_spe_has_one_set_for_both_axes_all_of_which_decays(image_data: Path) -> None:
    def layer(*overrides: str) -> dict[str, bool]:
        """SPE's parameters in a layer, and whether they decay."""
        config = composed(image_data, "encoding=spe", *overrides)
        model = LRPEVisionModel(type("Section", (), family_of(config).model(config))(), 3)
        found = model.model.layers[0].attention.encoding.named_parameters()
        return {name: not hasattr(parameter, "optim_overrides") for name, parameter in found}

    one = {"codes.frequencies": True, "codes.offsets": True, "codes.gains": True, "gate": True}
    assert layer("protocol=published") == one
    spared = {**one, "codes.frequencies": False, "codes.offsets": False}
    assert layer() == {**spared, **{f"next_axis.{name}": decays for name, decays in spared.items()}}
    small = composed(image_data, "encoding=spe", "protocol=published", "model.embed_dim=96", "model.num_heads=2")
    with torch.device("meta"):
        counted = family_of(small).build(small).layers[0].attention.encoding.parameters()
    assert sum(parameter.numel() for parameter in counted) == 384


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("recipe.crop=resize", "recipe.crop=resize: expected one of resized, padded, none; did you mean 'resized'"),
        ("model.pooling=cls", "model.pooling=cls: expected one of mean, class_token"),
        ("model.patch_size=3", "model.image_size=8 does not divide into patches of model.patch_size=3"),
        ("model.normalize_before=false", "model.normalize_before=False: expected True"),
        ("encoding=lrpe_d", "encoding=lrpe_d: a decay is a function of a distance in sequence"),
        ("recipe.random_erasing=2", "recipe.random_erasing=2.0: expected a probability, between 0 and 1"),
        ("recipe.crop_fraction=0", "recipe.crop_fraction=0.0: expected a part of the image"),
        ("recipe.warmup_epochs=50", "recipe.warmup_epochs=50 leaves nothing of recipe.epochs=50"),
        ("recipe.label_smoothing=1", "recipe.label_smoothing=1.0: expected a rate below 1"),
        ("recipe.epoch=3", "unknown key 'recipe.epoch'; did you mean 'recipe.epochs'"),
    ],
)
def test_what_cannot_be_is_refused(image_data: Path, override: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        composed(image_data, override)
    assert message in str(caught.value)


def test_mixing_needs_even_numbers(image_data: Path) -> None:
    with pytest.raises(UserError, match="Mixup and CutMix pair images, so both have to be even"):
        composed(image_data, "recipe.mixup=1", "recipe.batch_size=9")


def test_text_is_no_data_for_images(tiny_data: Path) -> None:
    config = compose(["experiment=imagenet", f"data.folder={tiny_data / 'wikitext2'}"])
    with pytest.raises(UserError, match="data=digits: .*wikitext2 holds no images"):
        family_of(config).updates(config)
