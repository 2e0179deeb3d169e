"""Foresight: what is known of a sequence's next tokens before a step has sampled them."""

from __future__ import annotations

from inferd.types import Sequence


class Foresight:
    """Told by the engine, for sequences with one token in flight; read by the next plan."""

    def __init__(self) -> None:
        self._news: list[tuple[Sequence, int, int, list[int]]] = []  # epoch, first position

    def end(self, seq: Sequence) -> None:
        """Its token in flight is its last: no step runs ahead for it."""
        seq.max_total = min(seq.max_total, seq.num_known + seq.in_flight)

    def follow(self, seq: Sequence, token_ids: list[int]) -> None:
        """`token_ids` come after its token in flight: the next step computes them together.

        At most up to what ends the sequence, which is sampled. None where log-probabilities are
        wanted: those of tokens that are not sampled would be missing; or where tokens are banned:
        those that are not sampled may be among them.
        """
        params, banned = seq.request.params, seq.request.bad_word_ids
        if params.logprobs is not None or params.allowed_token_ids is not None or banned:
            return
        known = token_ids[: max(0, seq.max_total - seq.max_len - 1)]
        stop = next((i for i, token_id in enumerate(known) if token_id in seq.stop_ids), None)
        known = known[:stop]
        if known:
            self._news.append((seq, seq.epoch, seq.max_len, known))
            seq.ahead = known
            seq.decoding = False

    def take(self) -> list[tuple[int, int, int]]:
        """(row, position, token) for the next plan; rows that were left meanwhile are not in it."""
        if not self._news:
            return []
        news, self._news = self._news, []
        return [
            (seq.row, start + i, token_id)
            for seq, epoch, start, known in news
            if seq.epoch == epoch
            for i, token_id in enumerate(known)
        ]
