"""What common cards can do, by NVIDIA's data sheets: dense tensor-core peaks, without sparsity."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.util.errors import UserError, nearest

_TERA, _GIB = 1e12, 2**30


@dataclass(frozen=True)
class Card:
    """A GPU's peaks in FLOP a second, and its memory in bytes.

    Attributes:
        name: as ``nvidia-smi`` contains it.
        fp32: float32 products outside the tensor cores.
        tf32: float32 products on the tensor cores (equal to ``fp32`` where there are none).
        half: bfloat16 and float16 products (0: no bfloat16 tensor cores).
        memory: bytes.
    """

    name: str
    fp32: float
    tf32: float
    half: float
    memory: int

    def peak(self, precision: str) -> float:
        """FLOP a second under a ``recipe.precision``: fp32, tf32, or a half precision (bf16, fp16, amp)."""
        return {"fp32": self.fp32, "tf32": self.tf32}.get(precision, self.half)


CARDS: dict[str, Card] = {
    key: Card(name, fp32 * _TERA, tf32 * _TERA, half * _TERA, memory * _GIB)
    for key, name, fp32, tf32, half, memory in (
        ("v100", "V100", 15.7, 15.7, 125, 16),
        ("t4", "T4", 8.1, 8.1, 65, 16),
        ("a10", "A10", 31.2, 62.5, 125, 24),
        ("a100", "A100", 19.5, 156, 312, 40),
        ("a100-80", "A100-SXM4-80GB", 19.5, 156, 312, 80),
        ("h100-pcie", "H100 PCIe", 51, 378, 756, 80),
        ("h100", "H100", 67, 494.7, 989.4, 80),
        ("h200", "H200", 67, 494.7, 989.4, 141),
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
