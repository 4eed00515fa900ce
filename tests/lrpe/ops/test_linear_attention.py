"""Three forms of one function, against the sum as it is written down."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lrpe.ops import LinearAttentionState, linear_attention

DECAYS = {"none": None, "mild": [-0.01, -0.3, 0.0], "strong": [-8.0, -40.0, -1.0]}
FAST = ("chunked", "recurrent")


def _inputs(length: int, batch: int = 2, heads: int = 3, key_dim: int = 6, value_dim: int = 5) -> list[Tensor]:
    torch.manual_seed(length)
    shapes = [(batch, heads, length, dim) for dim in (key_dim, key_dim, value_dim)]
    # positive features, so that a denominator is one, and long sums do not cancel
    return [torch.rand(shape, dtype=torch.float64).requires_grad_() for shape in shapes]


def _decay(name: str) -> Tensor | None:
    return None if DECAYS[name] is None else torch.tensor(DECAYS[name], dtype=torch.float64)


def _by_hand(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_decay: Tensor | None,
    causal: bool,
    denominator: bool,
    hidden: Tensor | None,
) -> Tensor:
    """A loop over pairs of tokens: slow, and nothing to share with the code under test."""
    batch, heads, length, _ = query.shape
    out = torch.zeros_like(value)
    for b in range(batch):
        for h in range(heads):
            for s in range(length):
                total, weight_sum = torch.zeros_like(value[0, 0, 0]), torch.zeros((), dtype=value.dtype)
                for t in range(s + 1 if causal else length):
                    if hidden is not None and hidden[b, t]:
                        continue
                    weight = query[b, h, s] @ key[b, h, t]
                    if log_decay is not None:
                        weight = weight * torch.exp(log_decay[h] * abs(s - t))
                    total = total + weight * value[b, h, t]
                    weight_sum = weight_sum + weight
                out[b, h, s] = total / weight_sum.clamp(min=1e-6) if denominator else total
    return out


@pytest.mark.parametrize("form", ["definition", "chunked", "recurrent", "auto"])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("denominator", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_every_form_is_the_sum_over_pairs(form: str, causal: bool, decay: str, denominator: bool, padded: bool) -> None:
    query, key, value = (x.detach() for x in _inputs(7))
    hidden = torch.tensor([[False] * 4 + [True] * 3, [False] * 7]) if padded else None
    out = linear_attention(
        query, key, value, causal=causal, log_decay=_decay(decay), denominator=denominator,
        key_padding_mask=hidden, form=form, chunk_size=3,
    )  # fmt: skip
    expected = _by_hand(query, key, value, _decay(decay), causal, denominator, hidden)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("length", [1, 5, 63, 64, 65, 100, 500, 1000])
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("denominator", [False, True])
def test_chunked_agrees_at_every_length_with_its_gradients(length: int, decay: str, denominator: bool) -> None:
    inputs = _inputs(length)
    options = {"log_decay": _decay(decay), "denominator": denominator, "return_state": True, "chunk_size": 16}
    results = []
    for form in ("definition", "chunked"):
        out, state = linear_attention(*inputs, form=form, **options)
        loss = out.sin().sum() + state.key_value.cos().sum()
        results.append((out, state.key_value, *torch.autograd.grad(loss, inputs)))
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 3),
    heads=st.integers(1, 3),
    length=st.integers(1, 40),
    key_dim=st.integers(1, 9),
    value_dim=st.integers(1, 9),
    chunk_size=st.integers(1, 50),
    form=st.sampled_from(FAST),
)
def test_forms_agree_for_every_shape(
    batch: int, heads: int, length: int, key_dim: int, value_dim: int, chunk_size: int, form: str
) -> None:
    inputs = [x.detach() for x in _inputs(length, batch, heads, key_dim, value_dim)]
    log_decay = -torch.rand(heads, dtype=torch.float64)
    expected = linear_attention(*inputs, log_decay=log_decay, form="definition")
    found = linear_attention(*inputs, log_decay=log_decay, form=form, chunk_size=chunk_size)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("form", FAST)
@pytest.mark.parametrize("decay", DECAYS)
def test_a_sequence_in_parts_is_the_whole(form: str, decay: str) -> None:
    inputs = [x.detach() for x in _inputs(29)]
    options = {"log_decay": _decay(decay), "denominator": True, "form": form, "chunk_size": 4}
    whole, end = linear_attention(*inputs, return_state=True, **options)
    state: LinearAttentionState | None = None
    parts = []
    for part in zip(*(x.split([10, 1, 7, 11], dim=-2) for x in inputs), strict=True):
        out, state = linear_attention(*part, state=state, return_state=True, **options)
        parts.append(out)
    assert state is not None
    assert state.position == end.position == 29
    torch.testing.assert_close(torch.cat(parts, dim=-2), whole, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(state.key_value, end.key_value, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(state.key_sum, end.key_sum, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("length", [4, 11])
def test_chunked_gradients_by_finite_differences(decay: str, length: int) -> None:
    inputs = _inputs(length, batch=1)
    start = torch.rand(1, 3, 6, 5, dtype=torch.float64, requires_grad=True)

    def both(query: Tensor, key: Tensor, value: Tensor, key_value: Tensor) -> tuple[Tensor, Tensor]:
        state = LinearAttentionState(key_value, None, 3)
        out, end = linear_attention(
            query, key, value, log_decay=_decay(decay), form="chunked", chunk_size=4, state=state, return_state=True
        )
        return out, end.key_value

    assert torch.autograd.gradcheck(both, (*inputs, start))


def test_the_future_has_no_influence() -> None:
    query, key, value = (x.detach() for x in _inputs(33))
    for form in ("definition", "chunked", "recurrent"):
        before = linear_attention(query, key, value, form=form, chunk_size=8)[..., :20, :]
        changed = [x.clone() for x in (query, key, value)]
        for x in changed:
            x[..., 20:, :] = 7.0
        after = linear_attention(*changed, form=form, chunk_size=8)[..., :20, :]
        assert torch.equal(before, after)


@pytest.mark.parametrize("causal", [True, False])
def test_padded_keys_change_nothing(causal: bool) -> None:
    query, key, value = (x.detach() for x in _inputs(12))
    hidden = torch.zeros(2, 12, dtype=torch.bool)
    hidden[:, 8:] = True
    short = linear_attention(query[..., :8, :], key[..., :8, :], value[..., :8, :], causal=causal, denominator=True)
    key[..., 8:, :] = 1e6
    padded = linear_attention(query, key, value, causal=causal, denominator=True, key_padding_mask=hidden)
    torch.testing.assert_close(padded[..., :8, :], short, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("padded", [False, True])
def test_a_one_sided_decay_is_the_published_product_of_powers(padded: bool) -> None:
    query, key, value = _inputs(9)
    log_decay = torch.tensor([-0.12, -0.3, 0.0], dtype=torch.float64)
    hidden = torch.zeros(2, 9, dtype=torch.bool)
    hidden[1, 6:] = padded
    position = torch.arange(9, dtype=torch.float64)[:, None]
    powers = torch.exp(log_decay[:, None, None] * position)  # r^s on queries, r^(-t) on keys, as published
    scores = (query * powers) @ (key / powers).mT
    scores = scores.masked_fill(hidden[:, None, None], 0)
    expected = scores @ value / scores.sum(-1, keepdim=True)
    given = {"causal": False, "log_decay": log_decay, "one_sided_decay": True, "key_padding_mask": hidden}
    out = linear_attention(query, key, value, denominator=True, eps=1e-300, **given)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="denominator"):
        linear_attention(query, key, value, **given)


def test_a_one_sided_decay_does_not_overflow_where_powers_would() -> None:
    query, key, value = (torch.rand(1, 1, 20_000, 4) for _ in range(3))
    given = {"causal": False, "denominator": True, "one_sided_decay": True}
    out = linear_attention(query, key, value, log_decay=torch.tensor([-0.127]), **given)
    assert bool(out.isfinite().all())
    assert float(out.std(dim=-2).max()) < 0.2, "every token sees the end of the text"


def test_a_denominator_of_other_features() -> None:
    query, key, value = (x.detach() for x in _inputs(9))
    other_query, other_key = torch.rand(2, 2, 3, 9, 4, dtype=torch.float64)
    for form in ("definition", "chunked", "recurrent"):
        out = linear_attention(
            query, key, value, denominator=True, denominator_query=other_query, denominator_key=other_key, form=form
        )
        total = (other_query @ other_key.mT).tril().sum(-1, keepdim=True)
        torch.testing.assert_close(out, (query @ key.mT).tril() @ value / total, rtol=1e-10, atol=1e-10)


def test_the_denominator_is_clamped() -> None:
    query, key, value = (x.detach() for x in _inputs(5))
    out = linear_attention(query, -key, value, denominator=True, eps=0.5)
    torch.testing.assert_close(out, (query @ -key.mT).tril() @ value / 0.5)


# Inputs are rounded to 8 (bfloat16) or 11 (float16) bits and so is the output; sums are float32.
@pytest.mark.parametrize(("dtype", "bound"), [(torch.bfloat16, 2**-7), (torch.float16, 2**-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("form", ["definition", "chunked", "recurrent"])
def test_low_precision_inputs_stay_within_their_rounding(dtype: torch.dtype, bound: float, form: str) -> None:
    exact = [x.detach().to(dtype) for x in _inputs(200)]
    out = linear_attention(*exact, denominator=True, form=form)
    assert out.dtype == dtype
    expected = linear_attention(*(x.double() for x in exact), denominator=True, form="definition")
    assert ((out.double() - expected).abs() / expected.abs()).max() < bound


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_decay_neither_overflows_nor_turns_to_nan_at_65536_tokens(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.rand(1, 3, 65_536, 4).to(dtype).requires_grad_() for _ in range(3))
    log_decay = torch.tensor([-1e-6, -0.127, -8.0])
    out = linear_attention(query, key, value, log_decay=log_decay, denominator=True)
    out.float().sum().backward()
    for tensor in (out, query.grad, key.grad, value.grad):
        assert torch.isfinite(tensor).all()
    assert out.float().min() >= 0
    assert out.float().max() <= 1.01, "a weighted mean stays within its values"


def test_memory_of_the_backward_is_linear() -> None:
    """What is saved for the backward, in elements a token, does not grow with the length."""

    def saved_per_token(length: int) -> int:
        inputs = _inputs(length, batch=1, heads=1, key_dim=16, value_dim=16)
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
            linear_attention(*inputs, form="chunked", chunk_size=64)
        return sum(sizes) // length

    assert saved_per_token(256) == saved_per_token(2048)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": "chunkd"}, "chunked"),
        ({"chunk_size": 0}, "chunk_size=0"),
        ({"log_decay": torch.zeros(4)}, r"expected \(3,\)"),
        ({"key_padding_mask": torch.zeros(2, 9, dtype=torch.bool)}, "key_padding_mask"),
        ({"causal": False, "state": LinearAttentionState(torch.zeros(2, 3, 6, 5), None, 1)}, "causal"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        linear_attention(*_inputs(8), **change)


def test_shapes_that_do_not_fit_are_named() -> None:
    query, key, value = _inputs(8)
    with pytest.raises(ValueError, match="do not fit"):
        linear_attention(query, key[:, :, :4], value)
    with pytest.raises(ValueError, match="no token"):
        linear_attention(query[:, :, :0], key[:, :, :0], value[:, :, :0])


def test_states_can_be_reordered() -> None:
    _, state = linear_attention(*_inputs(4), denominator=True, return_state=True)
    swapped = state.reorder(torch.tensor([1, 0, 0]))
    assert torch.equal(swapped.key_value[2], state.key_value[0])
    assert torch.equal(swapped.key_sum[0], state.key_sum[1])
    assert swapped.position == 4
