"""Log-probabilities in the two shapes of the OpenAI API, and vLLM's for prompts."""

from __future__ import annotations

from typing import Any

from inferd.engine.outputs import Logprob, LogprobDict

LEAST = -9999.0  # JSON has no minus infinity


def _value(candidate: Logprob) -> float:
    return max(candidate.logprob, LEAST)


def _text(candidate: Logprob) -> str:
    return candidate.decoded_token or ""


def _ranked(entry: LogprobDict) -> list[tuple[int, Logprob]]:
    return sorted(entry.items(), key=lambda item: item[1].rank)


def chat_logprobs(entries: list[LogprobDict], top: int) -> dict[str, Any]:
    """{"content": [...]}: per position the chosen token and the `top` most likely ones."""
    content = []
    for entry in entries:
        chosen = next(iter(entry.values()))
        best = [_chat_token(candidate) for _, candidate in _ranked(entry)[:top]]
        content.append({**_chat_token(chosen), "top_logprobs": best})
    return {"content": content, "refusal": None}


def _chat_token(candidate: Logprob) -> dict[str, Any]:
    text = _text(candidate)
    spelt = candidate.token_bytes or text.encode()
    return {"token": text, "logprob": _value(candidate), "bytes": list(spelt)}


class CompletionLogprobs:
    """The parallel lists of /v1/completions; offsets run on over the chunks of a stream.

    `first` is the text of a prompt's first token, which nothing predicts (its entry is None).
    """

    def __init__(self, first: str = "") -> None:
        self._first = first
        self._offset = 0

    def lists(self, entries: list[LogprobDict | None]) -> dict[str, list[Any]]:
        texts = [_text(next(iter(entry.values()))) if entry else self._first for entry in entries]
        offsets = []
        for text in texts:
            offsets.append(self._offset)
            self._offset += len(text)
        return {
            "tokens": texts,
            "token_logprobs": [e and _value(next(iter(e.values()))) for e in entries],
            "top_logprobs": [e and {_text(c): _value(c) for _, c in _ranked(e)} for e in entries],
            "text_offset": offsets,
        }


def prompt_logprobs(entries: list[LogprobDict | None]) -> list[dict[str, Any] | None]:
    """Per prompt token: token id -> {logprob, rank, decoded_token}."""
    return [_prompt_entry(entry) if entry else None for entry in entries]


def _prompt_entry(entry: LogprobDict) -> dict[str, Any]:
    return {
        str(token_id): {
            "logprob": _value(candidate),
            "rank": candidate.rank,
            "decoded_token": candidate.decoded_token,
        }
        for token_id, candidate in entry.items()
    }
