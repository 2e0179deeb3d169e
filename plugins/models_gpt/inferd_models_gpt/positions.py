"""A decoder with learned positions and no rotation.

Shape suffixes: T tokens, D hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from inferd.contracts.model import BuildContext
from inferd.layers import Decoder, DecoderShape, Embedding, Fields, NoRotary, Parts
from inferd.types import Batch


class LearnedPositions(Decoder):
    """The embedding of a position is row `offset` + position of a table."""

    length: ClassVar[str] = "max_position_embeddings"
    offset: ClassVar[int] = 0

    def __init__(self, parts: Parts, shape: DecoderShape, build: BuildContext) -> None:
        super().__init__(parts, shape, build)
        rows = Fields(build.config.hf).count(self.length, least=build.config.max_model_len)
        self.embed_positions = Embedding(rows + self.offset, shape.hidden_size, build)

    def rotaries(self, shape: DecoderShape, build: BuildContext) -> Sequence[NoRotary]:
        return [NoRotary(shape.head_dim, build)] * shape.num_layers

    def embed(self, batch: Batch) -> Tensor:
        place_TD: Tensor = self.embed_positions(batch.positions_T + self.offset)
        return super().embed(batch) + place_TD
