"""The shapes that whole replies of /v1/chat/completions and their events share."""

from __future__ import annotations

from typing import Any

from inferd.contracts.output_parser import Call
from inferd.engine.outputs import CompletionOutput
from inferd_server.collected import Sample
from inferd_server.logprobs import chat_logprobs
from inferd_server.protocol.chat import ChatBody


def call_of(call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def thought(text: str) -> dict[str, str]:
    """Under both names that clients look for."""
    return {"reasoning": text, "reasoning_content": text}


def message(sample: Sample) -> dict[str, Any]:
    """A whole answer."""
    content, calls = sample.content, [call_of(call) for call in sample.calls]
    found: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    if calls:
        found |= {"content": content or None, "tool_calls": calls}
    return found | thought(sample.reasoning) if sample.reasoning else found


def choice_fields(
    news: CompletionOutput | Sample, body: ChatBody, *, num_calls: int
) -> dict[str, Any]:
    """What a choice tells beside its text."""
    finish = news.finish_reason
    logprobs = chat_logprobs(news.logprobs or [], body.top_logprobs or 0)
    fields: dict[str, Any] = {
        "logprobs": logprobs if body.logprobs else None,
        "finish_reason": "tool_calls" if finish == "stop" and num_calls else finish,
    }
    if finish is not None:
        fields["stop_reason"] = news.stop_reason
    return fields | {"token_ids": news.token_ids} if body.return_token_ids else fields
