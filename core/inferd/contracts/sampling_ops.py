"""The ops of the sampler, fields of Ops. Logits are in any floating dtype; all ops but `mask` leave
them as they are.

`best_N` is the largest logit in float32, nan where there is one: not finite says that the row has
no token. Its id is then any of the vocabulary.

Shape suffixes: N rows, M of them with a mask, V vocabulary, W words of 32 tokens, K most likely,
C = K + 1 with the chosen token first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Mask(Protocol):
    """In place, -inf for what may not follow in the rows `places_M`; nan stays nan.

    Bit t % 32 of word t // 32 (int32) says whether token t may. Places are int64 and rise.
    """

    def __call__(self, logits_NV: Tensor, words_MW: Tensor, places_M: Tensor) -> None: ...


class Argmax(Protocol):
    """best_N and ids_N (int64) of the largest logits; the lowest id among equals."""

    def __call__(self, logits_NV: Tensor) -> tuple[Tensor, Tensor]: ...


class Draw(Protocol):
    """best_N, and ids_N with the largest logit / temperature + noise: a draw from the softmax.

    `keys_N` and `positions_N` are int64; inferd.contracts.noise says what noise they give.
    """

    def __call__(
        self, logits_NV: Tensor, temperature_N: Tensor, keys_N: Tensor, positions_N: Tensor
    ) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True, slots=True)
class FilterParams:
    """Per row, on the device, of any stride; `most_k` and `unbounded` are known to the host."""

    temperature_N: Tensor  # float32
    top_k_N: Tensor  # int64, 0: off
    top_p_N: Tensor  # float32, 1: off
    min_p_N: Tensor  # float32, 0: off
    most_k: int  # the largest top_k
    unbounded: bool  # some row has no top_k

    def take(self, places: Tensor) -> FilterParams:
        return FilterParams(
            self.temperature_N[places],
            self.top_k_N[places],
            self.top_p_N[places],
            self.min_p_N[places],
            self.most_k,
            self.unbounded,
        )


class DrawFiltered(Protocol):
    """As Draw, among the tokens that the filters leave, in vLLM's semantics and order.

    Temperature; min_p: tokens at least min_p times as likely as the most likely one; top_k: ties
    with the k-th stay; top_p, renormalised over what is left: a token stays while those before it
    have less than top_p of the mass. Of equal logits the lowest id comes first.
    """

    def __call__(
        self, logits_NV: Tensor, params: FilterParams, keys_N: Tensor, positions_N: Tensor
    ) -> tuple[Tensor, Tensor]: ...


class TopLogprobs(Protocol):
    """ids_NC (int64), values_NC (float32) and ranks_N (int64) of the log-softmax.

    First the chosen token, then the `most` most likely ones; a rank is one more than the number of
    tokens that are more likely than the chosen one.
    """

    def __call__(
        self, logits_NV: Tensor, chosen_N: Tensor, most: int
    ) -> tuple[Tensor, Tensor, Tensor]: ...
