"""Generation leaves a model in the mode that its caller gave it."""

from __future__ import annotations

import torch

from lrpe import DecoderConfig, DecoderLM


def test_generation_restores_the_mode_of_every_part() -> None:
    model = DecoderLM(DecoderConfig(vocab_size=20, embed_dim=16, ffn_dim=16, num_heads=2, num_layers=2)).train()
    model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    before = torch.get_rng_state()
    drawn = model.generate(torch.tensor([[3]]), 5, generator=torch.Generator().manual_seed(1))
    for _ in range(2):
        next(drawn)
        assert [module.training for module in model.modules()] == modes
    drawn.close()
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.is_grad_enabled()
