"""A head's features as complex numbers in registers: every row is P of them, parts (a, b) of shape [C, BLOCK].

``LAYOUT`` says where they lie in memory: ``neighbors`` (x_2j, x_2j+1), ``halves`` (x_j, x_(P+j)), ``real`` (x_j, 0).
A state's rows follow the encoded features in the same way. Masked places read as zero, so that they add nothing.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def load_parts(row, valid, WIDTH: tl.constexpr, BLOCK: tl.constexpr, LAYOUT: tl.constexpr):
    """float32 parts (a, b) of the rows at the pointers ``row`` [C], WIDTH features each."""
    if LAYOUT == "neighbors":
        column = tl.arange(0, 2 * BLOCK)
        x = tl.load(row[:, None] + column[None, :], mask=valid[:, None] & (column < WIDTH)[None, :], other=0.0)
        a, b = tl.split(tl.reshape(x, (x.shape[0], BLOCK, 2)))
    else:
        column = tl.arange(0, BLOCK)
        count: tl.constexpr = WIDTH if LAYOUT == "real" else (WIDTH + 1) // 2
        a = tl.load(row[:, None] + column[None, :], mask=valid[:, None] & (column < count)[None, :], other=0.0)
        b = tl.zeros_like(a)
        if LAYOUT == "halves":
            inside = valid[:, None] & (column < WIDTH - count)[None, :]
            b = tl.load(row[:, None] + count + column[None, :], mask=inside, other=0.0)
    return a.to(tl.float32), b.to(tl.float32)


@triton.jit
def store_parts(row, valid, a, b, WIDTH: tl.constexpr, BLOCK: tl.constexpr, LAYOUT: tl.constexpr):
    """The reverse of :func:`load_parts`, in the dtype that ``row`` points to."""
    if LAYOUT == "neighbors":
        column = tl.arange(0, 2 * BLOCK)
        x = tl.reshape(tl.join(a, b), (a.shape[0], 2 * BLOCK)).to(row.dtype.element_ty)
        tl.store(row[:, None] + column[None, :], x, mask=valid[:, None] & (column < WIDTH)[None, :])
    else:
        column = tl.arange(0, BLOCK)
        count: tl.constexpr = WIDTH if LAYOUT == "real" else (WIDTH + 1) // 2
        tl.store(
            row[:, None] + column[None, :],
            a.to(row.dtype.element_ty),
            mask=valid[:, None] & (column < count)[None, :],
        )
        if LAYOUT == "halves":
            inside = valid[:, None] & (column < WIDTH - count)[None, :]
            tl.store(row[:, None] + count + column[None, :], b.to(row.dtype.element_ty), mask=inside)


@triton.jit
def part_places(WIDTH: tl.constexpr, BLOCK: tl.constexpr, LAYOUT: tl.constexpr):
    """Indices of a vector's parts a and b, and whether they lie inside: [BLOCK] four times."""
    j = tl.arange(0, BLOCK)
    if LAYOUT == "neighbors":
        first, second = 2 * j, 2 * j + 1
        end: tl.constexpr = WIDTH
        count: tl.constexpr = WIDTH
    else:
        count: tl.constexpr = WIDTH if LAYOUT == "real" else (WIDTH + 1) // 2
        end: tl.constexpr = 0 if LAYOUT == "real" else WIDTH
        first, second = j, count + j
    return first, first < count, second, second < end


@triton.jit
def load_vector(pointer, WIDTH: tl.constexpr, BLOCK: tl.constexpr, LAYOUT: tl.constexpr):
    """float32 parts of one vector: [BLOCK] each."""
    first, first_in, second, second_in = part_places(WIDTH, BLOCK, LAYOUT)
    a = tl.load(pointer + first, mask=first_in, other=0.0).to(tl.float32)
    return a, tl.load(pointer + second, mask=second_in, other=0.0).to(tl.float32)


@triton.jit
def store_vector(pointer, a, b, WIDTH: tl.constexpr, BLOCK: tl.constexpr, LAYOUT: tl.constexpr):
    """The reverse of :func:`load_vector`."""
    first, first_in, second, second_in = part_places(WIDTH, BLOCK, LAYOUT)
    tl.store(pointer + first, a, mask=first_in)
    tl.store(pointer + second, b, mask=second_in)


@triton.jit
def load_matrix(pointer, columns, WIDTH: tl.constexpr, STRIDE: tl.constexpr, BLOCK: tl.constexpr, LAYOUT: tl.constexpr):
    """Parts of a float32 matrix of WIDTH rows, STRIDE columns in memory: [BLOCK, len(columns)] each."""
    first, first_in, second, second_in = part_places(WIDTH, BLOCK, LAYOUT)
    inside = (columns < STRIDE)[None, :]
    a = tl.load(pointer + first[:, None] * STRIDE + columns[None, :], mask=first_in[:, None] & inside, other=0.0)
    b = tl.load(pointer + second[:, None] * STRIDE + columns[None, :], mask=second_in[:, None] & inside, other=0.0)
    return a, b


@triton.jit
def store_matrix(
    pointer, columns, a, b, WIDTH: tl.constexpr, STRIDE: tl.constexpr, BLOCK: tl.constexpr, LAYOUT: tl.constexpr
):
    """The reverse of :func:`load_matrix`."""
    first, first_in, second, second_in = part_places(WIDTH, BLOCK, LAYOUT)
    inside = (columns < STRIDE)[None, :]
    tl.store(pointer + first[:, None] * STRIDE + columns[None, :], a, mask=first_in[:, None] & inside)
    tl.store(pointer + second[:, None] * STRIDE + columns[None, :], b, mask=second_in[:, None] & inside)
