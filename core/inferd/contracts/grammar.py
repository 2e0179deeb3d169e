"""Grammars: what a structured output may still become, as a mask over the vocabulary.

Shape suffixes: N sequences, W words of 32 tokens each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from inferd.structured_outputs import StructuredOutputs

    Words = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a back end is made for."""

    tokenizer_json: str  # as the tokenizers library writes it
    size: int  # of the model's logits
    eos_ids: tuple[int, ...]  # which must be allowed where the output may end


class Matcher(ABC):
    """How far one sequence has come."""

    @abstractmethod
    def accept(self, token_id: int) -> bool:
        """Go on by a token; False when the grammar does not allow it."""

    @property
    def ended(self) -> bool:
        """Whether nothing but the end may follow; False also where that is not known."""
        return False

    def forced(self) -> list[int]:
        """The tokens that must come next, as each is the only one that its mask allows.

        They are computed in one step. Asked for only after a mask with few tokens; [] where that is
        not known.
        """
        return []


class Grammar(ABC):
    """Compiled, and shared by all requests that ask for the same."""

    @abstractmethod
    def start(self) -> Matcher:
        """A matcher at the beginning of an output."""


class GrammarBackend(ABC):
    """Made where it is used first: once in a front end, which checks what clients send, and once in
    the engine process. `compile` runs in a thread, once at a time, beside `fill` and `accept`.
    """

    name: ClassVar[str]

    @abstractmethod
    def __init__(self, vocabulary: Vocabulary) -> None:
        """May take a second."""

    @abstractmethod
    def compile(self, wanted: StructuredOutputs) -> Grammar:
        """Raises RequestError, naming the place, for what it cannot enforce; ends in bounded time,
        whatever a client sends.
        """

    @abstractmethod
    def fill(self, matchers: Sequence[Matcher], words_NW: Words) -> None:
        """Write each matcher's mask: bit t % 32 of word t // 32 says whether token t may follow.

        Runs in every step that has such sequences, while the device computes their logits.
        """
