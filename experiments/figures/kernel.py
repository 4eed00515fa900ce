"""Heat map of the positional kernel W_(t-s) of each encoding as trained, one row per layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from experiments.figures import style
from experiments.figures.groups import Setting
from experiments.util.errors import UserError

DISTANCES = 128
# Blue to red through white, which every kind of color vision orders; zero is white.
COLOR_MAP = "RdBu_r"


def draw_kernels(setting: Setting, stem: Path, say: Callable[[str], None]) -> list[Path]:
    """Write ``<stem>-kernel.png`` and ``.pdf`` from the best checkpoint of each group's first seed.

    Shown is tr(W_d) / head_dim with the decay of the heads, divided by its value at d = 0, the mean over heads: see
    :func:`experiments.engine.kernels.kernel`. A group whose checkpoint cannot be read is said and left out.
    """
    kernels: list[tuple[str, np.ndarray]] = []
    for group in setting.groups:
        try:
            kernels.append((group.label, _kernel(group.first.folder, group.first.config())))
        except UserError as error:
            say(f"no kernel of {group.first.name}: {error}")
    return draw_heat_map(kernels, stem, setting.title) if kernels else []


def draw_heat_map(kernels: Sequence[tuple[str, np.ndarray]], stem: Path, title: str) -> list[Path]:
    """``kernels`` are labels with Float[layers distances] in [-1, 1]."""
    with style.new_figure(7.2, 1.2 + 0.62 * len(kernels)) as figure:
        rows = figure.subplots(len(kernels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (label, values) in zip(rows, kernels, strict=True):
            image = axes.imshow(
                values,
                aspect="auto",
                cmap=COLOR_MAP,
                vmin=-1,
                vmax=1,
                interpolation="nearest",
                extent=(-0.5, values.shape[1] - 0.5, len(values) + 0.5, 0.5),
            )
            axes.set_ylabel(style.literal(label), rotation=0, ha="right", va="center", fontsize="small")
            axes.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True, min_n_ticks=1))
            axes.tick_params(axis="y", labelsize="x-small")
        rows[-1].set_xlabel("distance t - s (rows: layers)")
        figure.colorbar(image, ax=list(rows), label="tr(W) relative to distance 0", fraction=0.05, pad=0.02)
        figure.suptitle(style.literal(f"positional kernel, {title}"))
        return style.save(figure, stem.with_name(f"{stem.name}-kernel"))


def _kernel(folder: Path, config: dict) -> np.ndarray:
    from experiments.engine.kernels import trained_kernels  # torch and fairseq: other figures do without

    recipe, model = config.get("recipe") or {}, config.get("model") or {}
    length = recipe.get("tokens_per_sample") or recipe.get("max_length") or DISTANCES
    if "patch_size" in model:
        length = model["image_size"] // model["patch_size"]
    return trained_kernels(folder, min(DISTANCES, length)).numpy()
