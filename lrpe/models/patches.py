"""Images to sequences of patches."""

from __future__ import annotations

from torch import Tensor, nn

from lrpe.validation import check_positive


class PatchEmbedding(nn.Module):
    """Square patches, flattened in the order (channel, row, column) and projected; patches row by row.

    The same map as a convolution with kernel and stride of the patch size, whose weight flattens to this one's.
    """

    def __init__(self, patch_size: int, channels: int, embed_dim: int) -> None:
        super().__init__()
        self.patch_size = check_positive("patch_size", patch_size)
        self.channels = check_positive("channels", channels)
        self.projection = nn.Linear(channels * patch_size**2, embed_dim)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches.

        Raises:
            ValueError: a size that is no positive multiple of the patch size.
        """
        size = self.patch_size
        if height < size or width < size or height % size or width % size:
            raise ValueError(
                f"an image of {height} x {width} pixels does not divide into patches of {size}: use multiples, e.g. "
                f"{max(round(height / size), 1) * size} x {max(round(width / size), 1) * size}"
            )
        return height // size, width // size

    def forward(self, images: Tensor) -> Tensor:
        """``Float[batch channels height width]`` -> ``(batch, rows * columns, embed_dim)``.

        Raises:
            ValueError: another number of channels or axes, or a size that does not divide.
        """
        if images.ndim != 4 or images.shape[1] != self.channels:
            raise ValueError(f"expected images (batch, {self.channels}, height, width), got {tuple(images.shape)}")
        batch, channels, height, width = images.shape
        rows, columns = self.grid(height, width)
        size = self.patch_size
        patches = images.reshape(batch, channels, rows, size, columns, size).permute(0, 2, 4, 1, 3, 5)
        return self.projection(patches.reshape(batch, rows * columns, channels * size**2))
