"""How ``experiment=imagenet`` runs on fairseq."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from data_prep.api import load_manifest
from data_prep.core.errors import DataError
from data_prep.images.index import class_names
from experiments.engine import checkpoints
from experiments.engine.distributed import DistributedContext
from experiments.engine.families.base import Counting, Family, Probe
from experiments.engine.families.imagenet import criterion, schedule, task  # noqa: F401 - register themselves
from experiments.engine.families.imagenet import model as fairseq_model  # noqa: F401 - registers itself
from experiments.engine.families.imagenet.dataset import updates_per_epoch
from experiments.engine.families.imagenet.encoding import image_options
from experiments.engine.families.imagenet.evaluation import evaluate
from experiments.engine.families.imagenet.transforms import Augmentation
from experiments.engine.model_config import library_config, model_section
from experiments.util.errors import UserError
from lrpe.models import VisionConfig, VisionTransformer

# (images for training, classes): ILSVRC 2012 (Russakovsky et al. 2015, table 2).
PUBLISHED_SIZES = {"imagenet": (1_281_167, 1000)}


class ImageClassification(Family):
    """Top-1 and top-5 accuracy on images of ``model.image_size`` pixels."""

    name = "imagenet"
    fairseq_task = "lrpe_image_classification"
    splits = ("valid",)
    best_metric = "top1"
    maximize = True
    samples_on_cpu = 64

    def task(self, config: DictConfig) -> dict[str, Any]:
        return {
            "_name": self.fairseq_task,
            "data": str(Path(config.data.folder).resolve()),
            "image_size": config.model.image_size,
            "crop_fraction": config.recipe.crop_fraction,
            "augmentation": json.dumps({field.name: config.recipe[field.name] for field in fields(Augmentation)}),
            "batch_images": config.recipe.batch_size,
            "classes": json.dumps(class_names(Path(config.data.folder))),
            "seed": config.seed,
        }

    def model(self, config: DictConfig) -> dict[str, Any]:
        encoding = {"name": config.encoding.name, **image_options(config)}
        return {
            "_name": "lrpe_vit",
            **model_section(VisionConfig, config, encoding=encoding, mask_padding=True),  # images have no padding
            "average_decay": config.recipe.average_decay,
        }

    def criterion(self, config: DictConfig) -> dict[str, Any]:
        return {"_name": "lrpe_image_classification"}

    def build(self, config: DictConfig) -> nn.Module:
        classes = self._manifest(config)["classes"]
        return VisionTransformer(library_config(VisionConfig, self.model(config), num_classes=classes))

    def probe(self, config: DictConfig) -> Probe | None:
        found = self._sizes(config)
        if found is None:
            return None
        model, (_, classes) = config.model, found
        vit = VisionTransformer(library_config(VisionConfig, self.model(config), num_classes=classes))
        tokens = self._patches(config) + vit.config.prefix_tokens
        return Probe(
            vit,
            torch.zeros(1, vit.config.channels, model.image_size, model.image_size),
            tokens=tokens,
            words=0,
            tables=0,
            classes=classes,
            scored=1 / tokens,
            output_weights=model.embed_dim * classes / tokens,
            input_weights=vit.config.channels * model.patch_size**2 * model.embed_dim,
        )

    def trial_batch(self, config: DictConfig, fairseq_task: Any, samples: int) -> dict[str, Any]:
        size, channels = config.model.image_size, VisionConfig.channels
        return {
            "net_input": {"images": torch.zeros(samples, channels, size, size)},
            "target": torch.full((samples, len(fairseq_task.classes)), 1 / len(fairseq_task.classes)),
            "ntokens": samples,
            "nsentences": samples,
        }

    def counting(self, config: DictConfig) -> Counting:
        images = int(config.recipe.batch_size)
        tokens = images * self._patches(config)
        return Counting(
            "images", images, speed_unit="images", perplexity=False, metrics=("top1", "top5"), tokens=tokens
        )

    def updates(self, config: DictConfig) -> int:
        return int(config.recipe.max_update or config.recipe.epochs * self._updates_per_epoch(config))

    def warmup_updates(self, config: DictConfig) -> int:
        wanted = self._warmup(config)
        if wanted >= (updates := self.updates(config)):
            raise UserError(f"{wanted:,} updates of warm-up leave nothing of {updates:,}: lower recipe.warmup_epochs")
        return max(1, wanted)

    def validation_interval(self, config: DictConfig) -> int:
        given = config.recipe.validate_interval_updates
        return int(given or config.recipe.validate_interval_epochs * self._updates_per_epoch(config))

    def numbers_per_parameter(self, config: DictConfig) -> int:
        """As every family's, and the average of the weights."""
        return super().numbers_per_parameter(config) + bool(config.recipe.average_decay)

    def sections(self, config: DictConfig) -> dict[str, Any]:
        # fairseq's buffer loads in a thread, whose draws would mix with those of the model; processes buffer anyway
        sections: dict[str, Any] = {"dataset": {"data_buffer_size": 0}}
        if config.recipe.schedule in ("cosine", schedule.NAME):
            sections["lr_scheduler"] = {"min_lr": config.recipe.min_learning_rate}
        if config.recipe.schedule == schedule.NAME:
            sections["lr_scheduler"] |= {
                "warmup_updates": self._warmup(config),  # fairseq's own schedules need one, this one does not
                "total_updates": self.updates(config),
                "updates_per_epoch": self._updates_per_epoch(config),
            }
        return sections

    def describe(self, config: DictConfig) -> dict[str, Any]:
        manifest = self._manifest(config)
        epochs = self.updates(config) / self._updates_per_epoch(config)
        counts = {split: counts["images"] for split, counts in manifest["splits"].items()}
        return super().describe(config) | {
            "images": {**counts, "classes": manifest["classes"], "epochs": round(epochs, 2)}
        }

    def score(
        self,
        path: Path,
        split: str,
        *,
        data: Path | None = None,
        samples: int | None = None,
        cuda: bool = False,
        images: str | None = None,
        image_size: int | None = None,
        crop_fraction: float | None = None,
    ) -> dict[str, float]:
        """As every family's; of a split, or of a folder of ``images``, at any ``image_size`` and ``crop_fraction``."""
        folder = None if images is None else Path(images)
        score = evaluate(
            path,
            split,
            data=data,
            images=folder,
            image_size=image_size,
            crop_fraction=crop_fraction,
            samples=samples,
            cuda=cuda,
        )
        return {"top1": score.top1, "top5": score.top5, "loss": score.loss, "images": score.images}

    def final_metrics(self, config: DictConfig, folder: Path, place: DistributedContext) -> dict[str, float]:
        """Loss (nats), top-1 and top-5 (per cent) of the best checkpoint on each held-out split; ``top1`` and ``top5``
        are those of the test split, or of the validation split where the data set has no other."""
        metrics: dict[str, float] = {}
        for split in ("valid", "test"):
            if split in self._manifest(config)["splits"]:
                score = evaluate(
                    folder / "checkpoints" / checkpoints.BEST,
                    split,
                    data=Path(config.data.folder).resolve(),
                    workers=config.engine.num_workers,
                    cuda=place.cuda,
                )
                metrics |= {f"{split}_loss": score.loss, f"{split}_top1": score.top1, f"{split}_top5": score.top5}
                metrics |= {"top1": score.top1, "top5": score.top5}
        return metrics

    def _warmup(self, config: DictConfig) -> int:
        given = config.recipe.warmup_updates
        return int(config.recipe.warmup_epochs * self._updates_per_epoch(config) if given is None else given)

    def _updates_per_epoch(self, config: DictConfig) -> int:
        images, _ = self._sizes(config) or (self._manifest(config)["splits"]["train"]["images"], 0)
        return updates_per_epoch(images, config.recipe.batch_size)

    def _patches(self, config: DictConfig) -> int:
        return (config.model.image_size // config.model.patch_size) ** 2

    def _sizes(self, config: DictConfig) -> tuple[int, int] | None:
        """(images for training, classes) of prepared data, else of what is published; None where neither is known."""
        if (Path(config.data.folder) / "manifest.json").is_file():
            manifest = self._manifest(config)
            return manifest["splits"]["train"]["images"], manifest["classes"]
        return PUBLISHED_SIZES.get(config.data.name)

    def _manifest(self, config: DictConfig) -> dict[str, Any]:
        try:
            manifest = load_manifest(config.data.folder)
        except DataError as error:
            raise UserError(str(error)) from error
        if manifest.get("kind") != "images":
            raise UserError(f"data={config.data.name}: {config.data.folder} holds no images")
        return manifest
