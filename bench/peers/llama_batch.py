"""Many sequences at once in llama.cpp, through the binding's C functions: it has no others.

Prompts go in pieces of 512 tokens of any sequences; then each step has one token of every sequence.
"""

from __future__ import annotations

from typing import Any

import numpy as np

BATCH = 512  # tokens of a call


class LlamaBatches:
    """Greedy, of `sequences` at most, each of `length` tokens at most, with its answer."""

    def __init__(self, model: Any, threads: int, sequences: int, length: int) -> None:
        import llama_cpp

        self._c: Any = llama_cpp
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_seq_max = sequences * length, sequences
        params.n_batch = params.n_ubatch = BATCH
        params.n_threads = params.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(model, params)
        if not self._context:
            raise RuntimeError("llama.cpp made no context")
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        self._batch = llama_cpp.llama_batch_init(BATCH, 0, 1)

    def generate(self, prompts: list[list[int]], num_tokens: int) -> list[list[int]]:
        self._c.llama_memory_clear(self._c.llama_get_memory(self._context), True)
        last = self._prefill(prompts)
        answers = [[token] for token in last]
        for step in range(num_tokens - 1):
            rows = [
                (answer[-1], len(ids) + step, row, True)
                for row, (ids, answer) in enumerate(zip(prompts, answers, strict=True))
            ]
            for answer, token in zip(answers, self._decode(rows), strict=True):
                answer.append(token)
        return answers

    def _prefill(self, prompts: list[list[int]]) -> list[int]:
        """The first token of each answer."""
        rows = [
            (token, place, row, place == len(ids) - 1)
            for row, ids in enumerate(prompts)
            for place, token in enumerate(ids)
        ]
        pieces = [rows[at : at + BATCH] for at in range(0, len(rows), BATCH)]
        return [token for piece in pieces for token in self._decode(piece)]

    def _decode(self, rows: list[tuple[int, int, int, bool]]) -> list[int]:
        """Of (token, position, sequence, whether the next one is wanted): those."""
        batch = self._batch
        batch.n_tokens = len(rows)
        for i, (token, place, sequence, wanted) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.logits[i] = token, place, wanted
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
        if self._c.llama_decode(self._context, batch):
            raise RuntimeError("llama.cpp could not decode")
        return [self._next(i) for i, row in enumerate(rows) if row[3]]

    def _next(self, i: int) -> int:
        logits = self._c.llama_get_logits_ith(self._context, i)
        return int(np.ctypeslib.as_array(logits, (self._vocabulary,)).argmax())
