"""What a checkpoint predicts for images, how sure it is, and where it looks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import Subset

from data_prep.images.loose import UNKNOWN
from experiments.engine.families.imagenet.evaluation import load, open_images, predictions
from experiments.engine.families.imagenet.prediction_grid import Prediction
from experiments.engine.loading import prepare_model
from experiments.util.errors import UserError

# timm's IMAGENET_DEFAULT_MEAN and _STD, which the transforms subtract and divide by
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Inspection:
    """All images looked at, how many of them have a known class, how many are wrong, and those to show."""

    images: int
    labeled: int
    wrong: int
    shown: list[Prediction]

    def summary(self) -> str:
        if not self.labeled:
            return f"{self.images:,} images without classes; {len(self.shown)} shown"
        right = 100 * (1 - self.wrong / self.labeled)
        return f"{self.images:,} images, {self.wrong:,} wrong (top-1 {right:.2f} %); {len(self.shown)} shown"


def inspect(
    path: Path,
    split: str | None,
    *,
    data: Path | None,
    images: Path | None,
    image_size: int | None,
    errors: bool,
    count: int,
    layer: int,
    cuda: bool,
) -> Inspection:
    """Predict every image, and describe the surest errors, or the first images.

    Args:
        path, split, data, images, image_size, cuda: as of :func:`~experiments.engine.families.imagenet.evaluation`'s
            ``evaluate``; ``images`` may do without classes, which have no errors.
        errors: the wrong ones, by falling certainty; else the first.
        count: at most so many.
        layer: whose attention is described.

    Raises:
        UserError: as ``evaluate``, or a layer that the model does not have.
    """
    model, config, task = load(path, data, prepared=images is None)
    layers = len(model.evaluated.layers)
    if not -layers <= layer < layers:
        raise UserError(f"layer={layer}: the model has layers 0 to {layers - 1} (and -1 to -{layers} from the end)")
    dataset = open_images(config, task.classes, split, images, image_size)
    prepare_model(model, config, cuda)
    labels = torch.from_numpy(dataset.split.labels)
    unknown = bool((labels == UNKNOWN).all())
    certainty, guess = [], []
    for logits, _, _ in predictions(model, dataset, config.dataset.batch_size, cuda=cuda):
        best = logits.softmax(-1).max(-1)
        certainty.append(best.values.cpu())
        guess.append(best.indices.cpu())
    sure, guessed = torch.cat(certainty), torch.cat(guess)
    wrong = (guessed != labels) & (labels != UNKNOWN)
    chosen = torch.arange(len(labels))
    if errors and not unknown:
        chosen = chosen[wrong][sure[wrong].argsort(descending=True, stable=True)]
    chosen = chosen[:count]
    shown: list[Prediction] = []
    picked = Subset(dataset, chosen.tolist())
    mean, deviation = (torch.tensor(value).view(3, 1, 1) for value in (MEAN, DEVIATION))
    for logits, target, batch in predictions(model, picked, config.dataset.batch_size, cuda=cuda):
        attention = model.evaluated.attention_map(batch.to(model.evaluated.head.weight.dtype), layer).float().cpu()
        for row, (probability, label) in enumerate(zip(logits.softmax(-1).cpu(), target.tolist(), strict=True)):
            best = int(probability.argmax())
            picture = (batch[row].float().cpu() * deviation + mean).clamp(0, 1)
            shown.append(
                Prediction(
                    image=picture.permute(1, 2, 0).numpy(),
                    attention=attention[row].numpy(),
                    name=dataset.split.name(int(chosen[len(shown)])),
                    predicted=task.classes[best],
                    certainty=float(probability[best]),
                    label=None if label == UNKNOWN else task.classes[label],
                )
            )
    return Inspection(len(labels), int((labels != UNKNOWN).sum()), int(wrong.sum()), shown)
