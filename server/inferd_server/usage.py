"""Usage: token counts of one request, in the shapes of the dialects."""

from __future__ import annotations

from typing import Any

from inferd_server.generation import Generation, Numbered


class Usage:
    """Fed with every output."""

    __slots__ = ("_cached", "_completion", "_prompt", "reasoning")

    def __init__(self, generation: Generation) -> None:
        self._prompt = sum(map(len, generation.prompts))
        self._completion = 0
        self._cached = [0] * len(generation.prompts)
        self.reasoning = 0  # of the generated tokens

    def count(self, item: Numbered) -> None:
        at, output = item
        self._cached[at] = output.num_cached_tokens
        for sample in output.outputs:
            self._completion += len(sample.token_ids)

    @property
    def completion(self) -> int:
        """Tokens generated so far."""
        return self._completion

    def anthropic(self) -> dict[str, int]:
        """Counts so far, as Anthropic reports them: what was cached is not input."""
        cached = sum(self._cached)
        return {
            "input_tokens": self._prompt - cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "output_tokens": self._completion,
        }

    def responses(self) -> dict[str, Any]:
        """Counts so far, as /v1/responses reports them."""
        return {
            "input_tokens": self._prompt,
            "input_tokens_details": {"cached_tokens": sum(self._cached)},
            "output_tokens": self._completion,
            "output_tokens_details": {"reasoning_tokens": self.reasoning},
            "total_tokens": self._prompt + self._completion,
        }

    def plain(self) -> dict[str, Any]:
        """Counts so far, as chat and completions report them."""
        return {
            "prompt_tokens": self._prompt,
            "completion_tokens": self._completion,
            "total_tokens": self._prompt + self._completion,
            "prompt_tokens_details": {"cached_tokens": sum(self._cached)},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning},
        }
