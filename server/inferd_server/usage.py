"""Usage: token counts of one request, as the OpenAI API reports them."""

from __future__ import annotations

from typing import Any

from inferd_server.generation import Generation, Numbered


class Usage:
    """Fed with every output."""

    __slots__ = ("_cached", "_completion", "_prompt")

    def __init__(self, generation: Generation) -> None:
        self._prompt = sum(map(len, generation.prompts))
        self._completion = 0
        self._cached = [0] * len(generation.prompts)

    def count(self, item: Numbered) -> None:
        at, output = item
        self._cached[at] = output.num_cached_tokens
        for sample in output.outputs:
            self._completion += len(sample.token_ids)

    def plain(self) -> dict[str, Any]:
        """Counts so far."""
        return {
            "prompt_tokens": self._prompt,
            "completion_tokens": self._completion,
            "total_tokens": self._prompt + self._completion,
            "prompt_tokens_details": {"cached_tokens": sum(self._cached)},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }
