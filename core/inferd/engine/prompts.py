"""What a caller may give as prompts: text, token ids, or vLLM's dictionaries of either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict, TypeVar

from inferd.errors import RequestError, UsageError

T = TypeVar("T")


class TextPrompt(TypedDict, total=False):
    prompt: str
    cache_salt: str


class TokensPrompt(TypedDict, total=False):
    prompt_token_ids: list[int]
    prompt: str  # the text the ids stand for; only shown
    cache_salt: str


Prompt = str | list[int] | TextPrompt | TokensPrompt
Message = dict[str, Any]
_FIELDS = TokensPrompt.__annotations__.keys()


def as_batch(prompts: Prompt | Sequence[Prompt]) -> list[TokensPrompt]:
    """One or several prompts in their most general form, checked by InputProcessor."""
    several: Any = prompts
    if isinstance(prompts, (str, dict)) or (several and isinstance(several[0], int)):
        several = [prompts]
    return [_as_dict(prompt) for prompt in several]


def _as_dict(prompt: Any) -> TokensPrompt:
    if isinstance(prompt, str):
        return {"prompt": prompt}
    if not isinstance(prompt, dict):
        return {"prompt_token_ids": prompt}
    if prompt.keys() <= _FIELDS and prompt.keys() & {"prompt", "prompt_token_ids"}:
        return prompt  # type: ignore[return-value]
    raise RequestError(
        f"a prompt has the keys {', '.join(sorted(map(str, prompt)))}; give prompt or "
        "prompt_token_ids, and cache_salt if you like",
        "prompt",
    )


def as_conversations(messages: list[Message] | list[list[Message]]) -> list[list[Message]]:
    """Raises RequestError when there is no message at all, or something else than messages."""
    if not messages:
        raise RequestError("messages is empty; give at least one message", "messages")
    conversations = [messages] if isinstance(messages[0], dict) else messages
    for each in conversations:
        if not isinstance(each, list) or not all(isinstance(message, dict) for message in each):
            raise RequestError(
                'chat takes messages such as {"role": "user", "content": "Hi"}, and lists of them; '
                "for text as it is there is generate",
                "messages",
            )
    return conversations


def spread(name: str, given: T | Sequence[T], count: int) -> list[T]:
    """One value for all, or one for each prompt; raises UsageError for another number of them."""
    if not isinstance(given, Sequence):
        return [given] * count
    if len(given) != count:
        raise UsageError(f"{count} prompts but {len(given)} {name} were given")
    return list(given)
