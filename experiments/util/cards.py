"""What common cards can do: dense tensor-core peaks, without sparsity, as NVIDIA publishes them."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.util.errors import UserError, nearest

_TERA, _GIB = 1e12, 2**30
USABLE = 0.9  # of a card's memory: the rest is for buckets of gradients, validation and the allocator's fragments


@dataclass(frozen=True)
class Card:
    """A GPU's peaks in FLOP a second, and its memory in bytes.

    Attributes:
        name: as ``nvidia-smi`` contains it.
        fp32: float32 products outside the tensor cores.
        tf32: float32 products on the tensor cores (equal to ``fp32`` where they have neither TF32 nor bfloat16).
        half: float16 products on the tensor cores, and bfloat16 where they have it.
        memory: bytes.
    """

    name: str
    fp32: float
    tf32: float
    half: float
    memory: int

    def peak(self, precision: str) -> float:
        """FLOP a second under a ``recipe.precision``."""
        if precision == "bf16" and self.tf32 == self.fp32:  # before Ampere
            return self.fp32
        return {"fp32": self.fp32, "tf32": self.tf32}.get(precision, self.half)


# Tera-FLOP a second and GiB. Data sheets give Ada's and Hopper's with sparsity, twice the dense rate. Read at:
# V100: 125 at developer.nvidia.com/programming-tensor-cores-cuda-9-0; T4 and V100's float32 at
#   hmc-tech.com/gpu/nvidia-t4-vs-nvidia-v100-sxm.
# A100: glennklockwood.com/garden/processors/A100, from nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf.
# H100 (SXM) and H200: glennklockwood.com/garden/processors/h100; H100 PCIe and H200's float32 at
#   hmc-tech.com/gpu/nvidia-h100-vs-nvidia-h200-sxm-vs-nvidia-gb200 (3,026 int8 TOPS with sparsity are 756 of float16).
# L4: store.sourcecode.com/en-us/bg-bucket-compare/125/9820 (TF32) and grokipedia.com/page/NVIDIA_L4_vs_L40S (float16).
# L40S: the data sheet's table at mullet.se/product.html?product_id=355414.
CARDS: dict[str, Card] = {
    key: Card(name, fp32 * _TERA, tf32 * _TERA, half * _TERA, memory * _GIB)
    for key, name, fp32, tf32, half, memory in (
        ("v100", "V100", 15.7, 15.7, 125, 16),
        ("t4", "T4", 8.1, 8.1, 65, 16),
        ("a100", "A100", 19.5, 156, 312, 40),
        ("a100-80", "A100-SXM4-80GB", 19.5, 156, 312, 80),
        ("h100-pcie", "H100 PCIe", 51, 378, 756, 80),
        ("h100", "H100", 66.9, 494.7, 989.4, 80),
        ("h200", "H200", 66.9, 494.7, 989.4, 141),
        ("l4", "L4", 30.3, 60, 121, 24),
        ("l40s", "L40S", 91.6, 183, 362, 48),
    )
}


def card(key: str) -> Card:
    """A card by its key.

    Raises:
        UserError: none of that key.
    """
    if key not in CARDS:
        raise UserError(f"gpu={key}: unknown card{nearest(key, CARDS)} (choices: {', '.join(CARDS)})")
    return CARDS[key]


def find_card(device_name: str) -> Card | None:
    """The card of a device's name, the longest that it contains; None where it is not in the table."""
    words = device_name.replace("-", " ").split()
    fitting = [card for card in CARDS.values() if all(word in words for word in card.name.replace("-", " ").split())]
    return max(fitting, key=lambda card: len(card.name), default=None)
