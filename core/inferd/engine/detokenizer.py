"""Text of a growing sequence: incremental detokenizing and stop strings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferd.loading.stream_decoder import StreamDecoder


class StopStrings:
    """Finds the first of several stop strings in a stream; costs O(new text).

    Text that may be the beginning of a stop string is held back until that is decided.
    """

    def __init__(self, stops: list[str], include: bool) -> None:
        self._stops = stops
        self._include = include
        self._held = ""

    def feed(self, text: str) -> tuple[str, str | None]:
        """The text that is safe to show, and the stop string if one was completed."""
        pending = self._held + text
        found = [(at, stop) for stop in self._stops if (at := pending.find(stop)) >= 0]
        if found:
            at, stop = min(found, key=lambda hit: (hit[0], -len(hit[1])))
            self._held = ""
            return pending[: at + len(stop)] if self._include else pending[:at], stop
        return self._hold_back(pending), None

    def pass_over(self, text: str) -> str:
        """The same for text in which a whole stop string does not count."""
        return self._hold_back(self._held + text)

    def _hold_back(self, pending: str) -> str:
        keep = self._possible_start(pending)
        self._held = pending[len(pending) - keep :]
        return pending[: len(pending) - keep]

    def flush(self) -> str:
        held, self._held = self._held, ""
        return held

    def _possible_start(self, text: str) -> int:
        """Length of the longest ending of `text` that begins a stop string."""
        longest = min(len(text), max(map(len, self._stops)) - 1)
        for size in range(longest, 0, -1):
            ending = text[-size:]
            if any(stop.startswith(ending) for stop in self._stops):
                return size
        return 0


class Detokenizer:
    """Turns token ids into text as they come; exact on characters split over tokens.

    As in vLLM, a stop string that lies in the text of the first `min_tokens` does not count.
    """

    def __init__(
        self, decoder: StreamDecoder, stops: list[str], include_stop: bool, min_tokens: int = 0
    ) -> None:
        self._decoder = decoder
        self._stops = StopStrings(stops, include_stop) if stops else None
        self._to_pass = min_tokens
        self.num_used = 0  # of the tokens that were fed last

    def feed(self, token_ids: list[int]) -> tuple[str, str | None]:
        """New text and the stop string it completed, if any; later tokens are dropped."""
        text = ""
        for self.num_used, token_id in enumerate(token_ids, 1):
            piece = self._decoder.step(token_id)
            if self._stops is None:
                text += piece
                continue
            if self._to_pass > 0:
                self._to_pass -= 1
                text += self._stops.pass_over(piece)
                continue
            safe, stop = self._stops.feed(piece)
            text += safe
            if stop is not None:
                return text, stop
        return text, None

    def finish(self) -> tuple[str, str | None]:
        """What was held back, when the sequence ends for another reason."""
        tail = self._decoder.flush()
        if self._stops is None:
            return tail, None
        safe, stop = self._stops.feed(tail)
        return (safe, stop) if stop is not None else (safe + self._stops.flush(), None)
