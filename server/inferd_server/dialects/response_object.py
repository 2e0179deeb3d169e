"""Answer: one response of /v1/responses, as the object that clients are shown at each stage."""

from __future__ import annotations

import time
from typing import Any

from inferd.contracts.output_parser import Content, Reasoning
from inferd_server.collected import Sample
from inferd_server.dialects.response_output import Output
from inferd_server.errors import Problem
from inferd_server.generation import Generation
from inferd_server.logprobs import chat_logprobs
from inferd_server.protocol.responses import ResponsesBody
from inferd_server.protocol.tools import call, decoded
from inferd_server.usage import Usage

Object = dict[str, Any]
CODES = {"queue_full": "rate_limit_exceeded", "context_length_exceeded": "context_length_exceeded"}


class Answer:
    """What was asked, what it goes on from, and what has been written of it."""

    def __init__(self, body: ResponsesBody, generation: Generation, messages: list[Object]) -> None:
        self.body = body
        self.generation = generation
        self.id = generation.request_id
        self.output = Output()
        self._messages = messages  # the conversation before it, without instructions
        self._created = int(time.time())

    def after(self) -> list[Object]:
        """The conversation with it, as chat templates read it."""
        turn: Object = {"role": "assistant", "content": self.output.joined(Content)}
        if calls := self.output.calls:
            turn["tool_calls"] = [call(c.id, c.name, decoded(c.arguments)) for c in calls]
        if thought := self.output.joined(Reasoning):
            turn["reasoning_content"] = thought
        return [*self._messages, turn]

    def opened(self) -> Object:
        """It has begun."""
        return self._response("in_progress", [], None)

    def closed(self, sample: Sample, usage: Usage) -> Object:
        """The model ended it, or the bound did."""
        if sample.finish_reason != "length":
            return self._response("completed", self._items("completed", sample), usage)
        response = self._response("incomplete", self._items("incomplete", sample), usage)
        return response | {"incomplete_details": {"reason": "max_output_tokens"}}

    def cancelled(self, sample: Sample, usage: Usage) -> Object:
        """The client ended it; what there was stays."""
        return self._response("cancelled", self._items("incomplete", sample), usage)

    def failed(self, problem: Problem, sample: Sample, usage: Usage) -> Object:
        response = self._response("failed", self._items("incomplete", sample), usage)
        code = CODES.get(problem.code, "server_error")
        return response | {"error": {"code": code, "message": problem.message}}

    def _items(self, status: str, sample: Sample) -> list[Object]:
        return self.output.shapes(status, self.logprobs(sample))

    def logprobs(self, sample: Sample) -> list[Object]:
        top = self.body.wanted_logprobs
        found: list[Object] = chat_logprobs(sample.logprobs, top or 0)["content"]
        return found if top is not None else []

    def _format(self) -> Object:
        form = self.body.text.format if self.body.text else None
        return form.model_dump(by_alias=True, exclude_none=True) if form else {"type": "text"}

    def _response(self, status: str, output: list[Object], usage: Usage | None) -> Object:
        body, params = self.body, self.generation.params
        return {
            "id": self.id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": bool(body.background),
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "model": self.generation.model,
            "output": output,
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": body.previous_response_id,
            "reasoning": {"effort": body.reasoning and body.reasoning.effort, "summary": None},
            "store": body.keeps,
            "temperature": params.temperature,
            "text": {"format": self._format()},
            "tool_choice": body.tool_choice or "auto",
            "tools": [{"type": "function", **tool["function"]} for tool in body.functions],
            "top_logprobs": body.top_logprobs or 0,
            "top_p": params.top_p,
            "truncation": "disabled",
            "usage": usage.responses() if usage else None,
        }
