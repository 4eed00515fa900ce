"""The vision transformer: sizes as published, images of any size, invariance to shifts, timm's function."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from experiments.engine.patches import import_torchvision
from lrpe.models import VisionConfig, VisionTransformer, load_timm_state_dict
from lrpe.models.drop_path import DropPath
from lrpe.models.image_positions import LearnedGrid, SinusoidalGrid, build_image_positions, grid_positions
from lrpe.models.vision_transformer import drop_path_rates

SMALL: dict[str, Any] = {
    "num_classes": 5,
    "image_size": 16,
    "patch_size": 4,
    "num_layers": 2,
    "embed_dim": 48,
    "ffn_dim": 40,
    "num_heads": 2,
}
LRPE = {"name": "lrpe", "projection": "householder"}
RELATIVE: list[dict[str, Any]] = [
    {"name": "rope"},
    {**LRPE, "core": "orthogonal", "learn_angles": True},
    {**LRPE, "core": "unitary"},
    {**LRPE, "core": "permutation"},
    {"name": "permuteformer", "decay": False},
]


def _model(seed: int = 0, **changes: Any) -> VisionTransformer:
    torch.manual_seed(seed)
    return VisionTransformer(VisionConfig(**{**SMALL, **changes})).double().eval()


def _images(*size: int, batch: int = 2, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, channels, *size, dtype=torch.float64, generator=generator)


def _count(config: VisionConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in VisionTransformer(config).parameters())


# docs/recipes.md: 22.04 M, and 9,216 for the norms of LRPE's rows. Theirs has one unused row of positions.
def test_the_published_model_has_the_published_size() -> None:
    published = {"absolute": "learned", "query_bias": False, "pooling": "mean"}
    plain = _count(VisionConfig.small(normalizer="denominator", **published))
    assert plain / 1e6 == pytest.approx(22.04, abs=0.005)
    assert _count(VisionConfig.small(normalizer="layernorm", **published)) - plain == 9216


@pytest.mark.parametrize(("size", "millions"), [("tiny", 5.717), ("small", 22.051), ("base", 86.568)])
def test_deit_sizes(size: str, millions: float) -> None:
    """timm's deit_<size>_patch16_224; its position of the class token is part of our class token."""
    config = getattr(VisionConfig, size)(
        attention="softmax", pooling="class_token", absolute="learned", normalizer="denominator"
    )
    assert (_count(config) + config.embed_dim) / 1e6 == pytest.approx(millions, abs=0.001)


@pytest.mark.parametrize("pooling", ["mean", "class_token"])
@pytest.mark.parametrize("absolute", ["none", "sinusoidal", "learned"])
@pytest.mark.parametrize("size", [(16, 16), (8, 8), (12, 28), (4, 4)])
def test_any_multiple_of_the_patch_is_an_image(pooling: str, absolute: str, size: tuple[int, int]) -> None:
    model = _model(pooling=pooling, absolute=absolute, encoding=RELATIVE[1])
    assert model(_images(*size)).shape == (2, 5)


def test_a_size_that_does_not_divide_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="image of 17 x 30 pixels does not divide into patches of 4: .* 16 x 32"):
        _model()(_images(17, 30))
    with pytest.raises(ValueError, match=r"expected images \(batch, 3, height, width\), got \(2, 1, 16, 16\)"):
        _model()(_images(16, 16, channels=1))


def test_patches_flatten_channel_by_channel_and_follow_each_other_row_by_row() -> None:
    model = _model()
    weight = model.patches.projection.weight.view(48, 3, 4, 4)
    convolved = F.conv2d(_images(8, 12), weight, model.patches.projection.bias, stride=4)
    torch.testing.assert_close(model.patches(_images(8, 12)), convolved.flatten(2).mT, rtol=0, atol=1e-12)
    assert grid_positions((2, 3)).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]


def test_channels_are_not_interchangeable() -> None:
    model, images = _model(), _images(16, 16)
    assert (model(images) - model(images.flip(1))).abs().max() > 1e-4


def _shifted_logits(model: VisionTransformer, shift: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    def moved(grid: tuple[int, int], device: torch.device) -> torch.Tensor:
        return grid_positions(grid, device) + torch.tensor(shift)

    monkeypatch.setattr("lrpe.models.vision_transformer.grid_positions", moved)
    return model(_images(16, 16))


@pytest.mark.parametrize("pooling", ["mean", "class_token"])
@pytest.mark.parametrize("attention", ["linear", "softmax"])
@pytest.mark.parametrize("encoding", RELATIVE, ids=str)
@pytest.mark.parametrize("axes", ["own", "split", "shared"])
def test_logits_are_invariant_to_a_shift_of_the_grid(
    pooling: str, attention: str, encoding: dict[str, Any], axes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a class token too: it has no position, so that no patch is nearer to it than another."""
    model = _model(pooling=pooling, attention=attention, encoding={**encoding, "axes": axes})
    here = _shifted_logits(model, (0, 0), monkeypatch)
    there = _shifted_logits(model, (7, -30), monkeypatch)
    torch.testing.assert_close(here, there, rtol=0, atol=1e-10)


@pytest.mark.parametrize("encoding", RELATIVE, ids=str)
def test_shared_axes_cannot_tell_an_image_from_its_transpose_and_own_axes_can(encoding: dict[str, Any]) -> None:
    """The published image models see row + column only: exchanging rows with columns changes nothing that they see."""
    images = _images(16, 16)
    transposed = images.unflatten(2, (4, 4)).unflatten(4, (4, 4)).permute(0, 1, 4, 3, 2, 5).flatten(4, 5).flatten(2, 3)
    for axes, degenerate in (("shared", True), ("own", False), ("split", False)):
        model = _model(encoding={**encoding, "axes": axes})
        difference = (model(images) - model(transposed)).abs().max().item()
        assert (difference < 1e-10) is degenerate, axes


def test_without_positions_an_image_is_a_bag_of_patches() -> None:
    images = _images(16, 16)
    patches = images.unflatten(2, (4, 4)).unflatten(4, (4, 4)).permute(0, 1, 3, 5, 2, 4).flatten(4)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    shuffled = patches[..., order].unflatten(4, (4, 4)).permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)
    for options, bag in (({}, True), ({"encoding": RELATIVE[0]}, False), ({"absolute": "learned"}, False)):
        for pooling in ("mean", "class_token"):
            model = _model(pooling=pooling, **{"absolute_std": 1.0, **options})
            difference = (model(images) - model(shuffled)).abs().max().item()
            assert (difference < 1e-10) is bag


@pytest.mark.parametrize("absolute", ["sinusoidal", "learned"])
def test_absolute_positions_tell_all_places_apart(absolute: str) -> None:
    positions = build_image_positions(absolute, 16, (5, 6), 1.0)
    assert positions is not None
    places = positions((5, 6))
    assert places.shape == (30, 16)
    assert (torch.cdist(places, places) + 10 * torch.eye(30)).min() > 0.05


def test_sinusoidal_halves_follow_row_and_column() -> None:
    places = SinusoidalGrid(16)((3, 4)).unflatten(0, (3, 4))
    assert torch.equal(places[:, 0, :8], places[:, 3, :8])
    assert torch.equal(places[0, :, 8:], places[2, :, 8:])


def test_learned_positions_interpolate_to_other_grids() -> None:
    grid = LearnedGrid(4, (3, 3), 1.0)
    with torch.no_grad():
        grid.weight.copy_(torch.arange(3.0)[:, None, None].expand(3, 3, 4))
    assert torch.equal(grid((3, 3)), grid.weight.flatten(0, 1))
    larger = grid((7, 5)).unflatten(0, (7, 5))
    torch.testing.assert_close(larger[3], torch.ones(5, 4))
    assert (larger[1:] >= larger[:-1] - 0.05).all()


def test_drop_path_rises_or_stays() -> None:
    assert drop_path_rates(VisionConfig(num_layers=3, drop_path=0.2)) == [0.0, 0.1, 0.2]
    assert drop_path_rates(VisionConfig(num_layers=3, drop_path=0.2, drop_path_schedule="constant")) == [0.2] * 3
    with pytest.raises(ValueError, match="drop_path_schedule='rising': expected one of linear, constant"):
        drop_path_rates(VisionConfig(drop_path_schedule="rising"))


def test_drop_path_drops_whole_samples_in_training_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropped = DropPath(0.25)(torch.ones(4000, 2, 3))
    assert set(dropped.unique().tolist()) == {0.0, dropped.max().item()}
    assert (dropped == dropped[:, :1, :1]).all()
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(DropPath(0.25).eval()(torch.ones(4)), torch.ones(4))


@pytest.mark.parametrize("pooling", ["mean", "class_token"])
@pytest.mark.parametrize("attention", ["linear", "softmax"])
def test_an_attention_map_has_the_patches_grid(pooling: str, attention: str) -> None:
    model = _model(pooling=pooling, attention=attention, encoding=RELATIVE[2])
    seen = model.attention_map(_images(8, 12))
    assert seen.shape == (2, 2, 3)
    assert (seen.sum((1, 2)) <= 1 + 1e-9).all()


def test_logits_agree_with_timm_whose_weights_are_loaded() -> None:
    import_torchvision()
    import timm

    torch.manual_seed(0)
    theirs = timm.create_model("deit_tiny_patch16_224", pretrained=False, num_classes=10, img_size=32).double().eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    config = VisionConfig.tiny(
        num_classes=10, image_size=32, attention="softmax", pooling="class_token", absolute="learned"
    )
    model = VisionTransformer(config).double().eval()
    load_timm_state_dict(model, theirs.state_dict())
    images = _images(32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model(images), theirs(images), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="no weights of a timm model of this size: .*blocks.11"):
        load_timm_state_dict(model, {k: v for k, v in theirs.state_dict().items() if not k.startswith("blocks.11")})
    with pytest.raises(ValueError, match="timm's weights fit attention='softmax'"):
        load_timm_state_dict(VisionTransformer(VisionConfig.tiny()), theirs.state_dict())
