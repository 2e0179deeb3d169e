"""The bodies of /tokenize and /detokenize."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from inferd_server.conversation import Conversation
from inferd_server.protocol.base import Body, ModelName, Text, TokenId
from inferd_server.protocol.chat import Messages, TemplateOptions
from inferd_server.protocol.tools import Tools

MAX_TOKENS = 1 << 20


class TokenizeBody(Body):
    """A text, or messages to be rendered with the chat template."""

    model: ModelName | None = None
    prompt: Text | None = None
    messages: Messages | None = None
    add_special_tokens: bool | None = None  # default: true for a text, false for messages
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    chat_template_kwargs: TemplateOptions | None = None
    tools: Tools | None = None
    return_token_strs: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either prompt or messages")
        return self

    def conversation(self) -> Conversation:
        return Conversation(
            messages=[message.plain() for message in self.messages or []],
            tools=[tool.plain() for tool in self.tools or []],
            generate=self.add_generation_prompt,
            resume=self.continue_final_message,
            options=self.chat_template_kwargs or {},
            special=bool(self.add_special_tokens),
        )


class DetokenizeBody(Body):
    model: ModelName | None = None
    tokens: Annotated[list[TokenId], Field(fail_fast=True, max_length=MAX_TOKENS)]
