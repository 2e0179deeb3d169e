"""The body of /v1/chat/completions."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from inferd.errors import RequestError
from inferd_server.conversation import Conversation
from inferd_server.protocol.base import Body, Label, Refusals, Text
from inferd_server.protocol.refused import CHAT, INERT_OPENAI
from inferd_server.protocol.sampling import Count, SamplingBody
from inferd_server.protocol.tools import MAX_TOOLS, CallId, Choice, ToolCall, Tools, tool_use

MAX_TEMPLATE_OPTIONS = 16
RESERVED = {
    "messages",
    "tools",
    "tokenize",
    "add_generation_prompt",
    "continue_final_message",
    "chat_template",
    "template",
    "raise_exception",
    "strftime_now",
    "bos_token",
    "eos_token",
    "pad_token",
    "unk_token",
}
"""Names of the renderer itself, which a request must not set through chat_template_kwargs."""


def _text_part(part: Any) -> Any:
    if isinstance(part, dict) and part.get("type") not in ("text", None):
        raise ValueError("only parts of type text are in this version of inferd")
    return part


class TextPart(Body):
    type: Literal["text"]
    text: Text


class Message(Body):
    """One turn. Parts are joined by newlines."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: (
        Text
        | Annotated[
            list[Annotated[TextPart, BeforeValidator(_text_part)]],
            Field(fail_fast=True, min_length=1, max_length=1024),
        ]
        | None
    ) = None
    name: Annotated[Text | None, Field(max_length=256)] = None
    tool_calls: Annotated[list[ToolCall], Field(fail_fast=True, max_length=MAX_TOOLS)] | None = None
    tool_call_id: CallId | None = None
    reasoning_content: Text | None = None
    reasoning: Text | None = None

    @model_validator(mode="after")
    def _has_content(self) -> Self:
        if self.content is None and self.role != "assistant":
            raise ValueError(f"a message of role {self.role} needs content")
        return self

    def plain(self) -> dict[str, Any]:
        """As chat templates read it."""
        content = self.content or ""
        if isinstance(content, list):
            content = "\n".join(part.text for part in content)
        message: dict[str, Any] = {
            "role": "system" if self.role == "developer" else self.role,
            "content": content,
        }
        further = {
            "name": self.name,
            "tool_calls": [call.plain() for call in self.tool_calls or []],
            "tool_call_id": self.tool_call_id,
            "reasoning_content": self.reasoning_content or self.reasoning,
        }
        return message | {name: value for name, value in further.items() if value}


Messages = Annotated[list[Message], Field(fail_fast=True, min_length=1, max_length=10_000)]
TemplateValue = Annotated[str, Field(max_length=1024)] | bool | int | float | None


def _free_names(options: Any) -> Any:
    if not isinstance(options, dict):
        return options
    if len(options) > MAX_TEMPLATE_OPTIONS:
        raise ValueError(f"at most {MAX_TEMPLATE_OPTIONS} options, got {len(options)}")
    for name in options:
        if name in RESERVED or not name.isidentifier() or name.startswith("_"):
            raise ValueError(f"{name[:64]!r} cannot be set here")
    return options


TemplateOptions = Annotated[
    dict[str, TemplateValue], Field(max_length=MAX_TEMPLATE_OPTIONS), BeforeValidator(_free_names)
]


ClientTemplate = Annotated[Text, Field(min_length=1, max_length=1 << 16)]


class ChatBody(SamplingBody):
    refused: ClassVar[Refusals] = CHAT
    inert: ClassVar[frozenset[str]] = INERT_OPENAI

    messages: Messages
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int | None, Field(ge=0, le=20)] = None
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    add_special_tokens: bool = False
    chat_template: ClientTemplate | None = None  # where the operator allows it
    chat_template_kwargs: TemplateOptions | None = None
    reasoning_effort: Label | None = None  # a variable of the template
    tools: Tools | None = None
    tool_choice: Choice = None
    parallel_tool_calls: bool | None = None

    def check(self) -> None:
        """Rules over several fields. Raises RequestError, naming the field."""
        self.check_sampling()
        if self.top_logprobs is not None and not self.logprobs:
            raise RequestError("top_logprobs needs logprobs: true", "top_logprobs")

    def conversation(self) -> Conversation:
        shown = [] if self.tool_choice == "none" else self.tools or []
        tools = [tool.plain() for tool in shown]
        effort = {"reasoning_effort": self.reasoning_effort} if self.reasoning_effort else {}
        return Conversation(
            messages=[message.plain() for message in self.messages],
            tools=tools,
            use=tool_use(
                self.tool_choice,
                tools,
                self.parallel_tool_calls,
                [tool.function.strict for tool in shown],
            ),
            generate=self.add_generation_prompt,
            resume=self.continue_final_message,
            template=self.chat_template,
            options=effort | (self.chat_template_kwargs or {}),
            special=self.add_special_tokens,
        )

    @property
    def wanted_tokens(self) -> int | None:
        """None: what is left of the context."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def wanted_logprobs(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None
