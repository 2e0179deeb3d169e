"""Tiles: rows of vectors that stay in registers, as values of compiled functions.

A tile of R x C holds R rows of C vectors. Addresses are int64, strides count elements; counts of
rows and vectors, strides and `bits` (32: float32, 16: bfloat16) are constants of the compiled code.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

from inferd_cpu_numba.kernels import vectors
from inferd_cpu_numba.kernels.vectors import F32, LANES, VEC


class TileType(types.Type):
    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        super().__init__(f"Tile({rows}x{columns})")

    @property
    def value(self):
        return ir.ArrayType(VEC, self.rows * self.columns)

    @property
    def cells(self):
        """(place in the value, row, column)"""
        for place in range(self.rows * self.columns):
            yield place, *divmod(place, self.columns)


@register_model(TileType)
class TileModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, kind.value)


def mapped(b, kind, tile, compute):
    """Every cell by `compute(place, row, column)`."""
    for place, row, column in kind.cells:
        tile = b.insert_value(tile, compute(place, row, column), place)
    return tile


@intrinsic(prefer_literal=True)
def zeros(_, rows, columns):
    kind = TileType(rows.literal_value, columns.literal_value)

    def build(context, b, signature, args):
        return ir.Constant(kind.value, None)

    return kind(rows, columns), build


@intrinsic
def filled(_, value):
    """One vector."""
    kind = TileType(1, 1)

    def build(context, b, signature, args):
        return b.insert_value(ir.Constant(kind.value, ir.Undefined), vectors.splat(b, args[0]), 0)

    return kind(types.float32), build


@intrinsic(prefer_literal=True)
def load(_, rows, columns, address, stride, bits):
    """Row r from `address` + r * stride on."""
    kind, step, width = _constants(rows, columns, stride, bits)

    def build(context, b, signature, args):
        def cell(_, row, column):
            return vectors.load(b, args[2], width, row * step + column * LANES)

        return mapped(b, kind, ir.Constant(kind.value, ir.Undefined), cell)

    return kind(rows, columns, types.int64, stride, bits), build


def _constants(rows, columns, stride, bits):
    kind = TileType(rows.literal_value, columns.literal_value)
    return kind, stride.literal_value, bits.literal_value


@intrinsic(prefer_literal=True)
def store(_, tile, address, stride, bits):
    step, width = stride.literal_value, bits.literal_value

    def build(context, b, signature, args):
        for place, row, column in tile.cells:
            offset = row * step + column * LANES
            vectors.store(b, b.extract_value(args[0], place), args[1], width, offset)
        return context.get_dummy_value()

    return types.none(tile, types.int64, stride, bits), build


@intrinsic(prefer_literal=True)
def add_product(_, tile, factors, stride, address, bits):
    """tile[r] + factors[r * stride] * (the vectors at `address`): a column times a row."""
    step, width = stride.literal_value, bits.literal_value

    def build(context, b, signature, args):
        row_of = [vectors.load(b, args[3], width, column * LANES) for column in range(tile.columns)]
        factor_of = [
            vectors.splat(b, b.load(vectors.pointer(b, args[1], F32, row * step)))
            for row in range(tile.rows)
        ]

        def cell(place, row, column):
            return vectors.fma(b, factor_of[row], row_of[column], b.extract_value(args[0], place))

        return mapped(b, tile, args[0], cell)

    return tile(tile, types.int64, stride, types.int64, bits), build


def _by_row(combine):
    """tile[r] with the float32 at `address` + r."""

    def typed(_, tile, address):
        def build(context, b, signature, args):
            scalars = [
                vectors.splat(b, b.load(vectors.pointer(b, args[1], F32, row)))
                for row in range(tile.rows)
            ]

            def cell(place, row, _):
                return combine(b, b.extract_value(args[0], place), scalars[row])

            return mapped(b, tile, args[0], cell)

        return tile(tile, types.int64), build

    return intrinsic(typed)


scale_rows = _by_row(lambda b, x, y: b.fmul(x, y))
exp2_less = _by_row(lambda b, x, y: vectors.exp2(b, b.fsub(x, y)))  # 2 ** (tile[r] - scalar r)


@intrinsic
def scale(_, tile, factor):
    """Every cell, times one float32."""

    def build(context, b, signature, args):
        factors = vectors.splat(b, args[1])

        def cell(place, *_):
            return b.fmul(b.extract_value(args[0], place), factors)

        return mapped(b, tile, args[0], cell)

    return tile(tile, types.float32), build


def _of_cells(tile, combine):
    def build(context, b, signature, args):
        def cell(place, *_):
            return combine(b, *(b.extract_value(arg, place) for arg in args))

        return mapped(b, tile, args[0], cell)

    return build


def _of_two(combine):
    def typed(_, tile, other):
        return tile(tile, other), _of_cells(tile, combine)

    return intrinsic(typed)


def _of_one(combine):
    def typed(_, tile):
        return tile(tile), _of_cells(tile, combine)

    return intrinsic(typed)


add = _of_two(lambda b, x, y: b.fadd(x, y))
subtract = _of_two(lambda b, x, y: b.fsub(x, y))
multiply = _of_two(lambda b, x, y: b.fmul(x, y))
largest = _of_two(vectors.largest)
exp2 = _of_one(vectors.exp2)
is_nan = _of_one(lambda b, x: b.uitofp(b.fcmp_unordered("uno", x, x), VEC))  # 1, else 0
inverse = _of_one(lambda b, x: b.fdiv(vectors.constant(VEC, 1.0), x))


def _reduction(reduce):
    """Over the lanes of tiles with one column, one float32 a row, to `address`."""

    def typed(_, tile, address):
        def build(context, b, signature, args):
            for row in range(tile.rows):
                value = reduce(b, b.extract_value(args[0], row))
                b.store(value, vectors.pointer(b, args[1], F32, row))
            return context.get_dummy_value()

        return types.none(tile, types.int64), build

    return intrinsic(typed)


row_sums = _reduction(vectors.lanes_sum)
row_maxima = _reduction(vectors.lanes_largest)


@njit(inline="always")
def load_vector(address):
    return load(1, 1, address, 0, 32)


@njit(inline="always")
def store_vector(tile, address):
    store(tile, address, 0, 32)


@intrinsic
def prefetch(_, address):
    def build(context, b, signature, args):
        vectors.prefetch(b, args[0])
        return context.get_dummy_value()

    return types.none(types.int64), build
