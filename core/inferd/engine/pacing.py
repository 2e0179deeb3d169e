"""How an offline batch begins: prompts beside answers, where that makes no step more.

A step that only decodes takes as long as reading the weights does, one of prompts as long as its
arithmetic; one of both takes little more than either alone. So where answers are known to differ in
length, the longest begin first, and the prompts of shorter ones are spread over the steps that the
longest answer needs anyway. What a step takes grows faster with its tokens the more it has, so that
equal steps take least in all.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from inferd.memory.block_table import CacheLayout
from inferd.types import Request

PACES = (512, 768, 1024)  # tokens of a step: what mixed steps are recorded for on a GPU
SLACK = 1.02  # steps that a pace may take, to those of the longest answer


def paced(
    requests: list[Request], max_rows: int, layout: CacheLayout, max_model_len: int
) -> tuple[list[Request], int]:
    """In which order to begin them, and with how many tokens a step; 0: as many as there are.

    As they come, where lengths are equal or one is not known, where priorities say what is first,
    or where no pace is slow enough to help.
    """
    lengths = {_known_length(request, max_model_len) for request in requests}
    if len(lengths) > 1 and 0 not in lengths and len({each.priority for each in requests}) == 1:
        longest_first = sorted(requests, key=_length, reverse=True)
        for tokens in PACES:
            steps = num_steps(longest_first, tokens, max_rows, layout)
            if steps <= SLACK * _length(longest_first[0]):
                return longest_first, tokens
    return requests, 0


def num_steps(
    requests: Sequence[Request], tokens: int, max_rows: int, layout: CacheLayout
) -> float:
    """Of the batch in this order with `tokens` a step; infinite where the KV cache is too small."""
    ends: list[tuple[int, int]] = []  # a heap: (step that a row ends with, its blocks)
    step, left, held, last = 0, tokens, 0, 0
    most = min(tokens, max_rows)
    for request in requests:
        prompt, length = len(request.prompt_ids), _length(request)
        kept = layout.peak_blocks(prompt + length, tokens)
        while prompt > left or len(ends) >= most:
            prompt -= left if len(ends) < most else 0
            step += 1
            while ends and (ends[0][0] <= step or len(ends) >= most):
                end, blocks = heapq.heappop(ends)
                step, held = max(step, end), held - blocks
            left = tokens - len(ends)
        left -= prompt
        for _ in range(request.params.n):
            heapq.heappush(ends, (step + length, kept))
            held += kept
        last = max(last, step + length)
        if held >= layout.num_blocks:  # block 0 is never handed out
            return math.inf
    return last


def _known_length(request: Request, max_model_len: int) -> int:
    """0: nobody said, or the context ends an answer before `max_tokens` does."""
    length = _length(request)
    return length if len(request.prompt_ids) + length <= max_model_len else 0


def _length(request: Request) -> int:
    """Of its answer, in tokens, if nothing ends it earlier; 0: nobody said."""
    return request.params.max_tokens or 0
