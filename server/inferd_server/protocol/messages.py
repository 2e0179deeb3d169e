"""The bodies of /v1/messages and /v1/messages/count_tokens, Anthropic's dialect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from inferd.params import MAX_STOP_STRINGS, SamplingParams
from inferd_server.conversation import Conversation, ToolUse
from inferd_server.protocol.base import Body, ModelName, Refusals, Text
from inferd_server.protocol.message_blocks import AnthropicMessage, TextBlocks, joined
from inferd_server.protocol.refused import INERT_ANTHROPIC, MESSAGES
from inferd_server.protocol.sampling import Count, StopString, params_of
from inferd_server.protocol.structure import TextFormat, of_format
from inferd_server.protocol.tools import MAX_TOOLS, Choice, ToolName, tool_use

BILLING = "x-anthropic-billing-header"
"""How a system block begins that changes with every request, and would void the prefix cache."""


class AnthropicTool(Body):
    type: Literal["custom"] | None = None
    name: ToolName
    description: Text | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None  # enforced for forced calls, and where the family has a call_frame

    def plain(self) -> dict[str, Any]:
        function = {"name": self.name, "parameters": self.input_schema}
        if self.description is not None:
            function["description"] = self.description
        return {"type": "function", "function": function}


def _own_tool(tool: Any) -> Any:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind not in (None, "custom"):
        raise ValueError(
            f"a tool of type {str(kind)[:64]!r} is run or known by Anthropic's own servers only; "
            "here are tools of type custom, with a name and an input_schema"
        )
    return tool


class ToolChoice(Body):
    type: Literal["auto", "any", "tool", "none"]
    name: ToolName | None = None
    disable_parallel_tool_use: bool | None = None

    def use(self, tools: list[dict[str, Any]], strict: Iterable[bool | None]) -> ToolUse:
        """Raises RequestError for a call that is forced of a tool that is not there."""
        choices: dict[str, Choice] = {
            "any": "required",
            "tool": {"type": "function", "name": self.name},
        }
        parallel = not self.disable_parallel_tool_use
        return tool_use(choices.get(self.type), tools, parallel, strict)


class Thinking(Body):
    type: Literal["enabled", "adaptive", "disabled"]


class OutputConfig(Body):
    format: TextFormat | None = None


class CountBody(Body):
    """What decides how many tokens a prompt has."""

    refused: ClassVar[Refusals] = MESSAGES
    inert: ClassVar[frozenset[str]] = INERT_ANTHROPIC
    sources: ClassVar[frozenset[str]] = frozenset({"output_config"})

    model: ModelName
    messages: Annotated[
        list[AnthropicMessage], Field(fail_fast=True, min_length=1, max_length=10_000)
    ]
    system: Text | TextBlocks | None = None
    tools: (
        Annotated[
            list[Annotated[AnthropicTool, BeforeValidator(_own_tool)]],
            Field(fail_fast=True, max_length=MAX_TOOLS),
        ]
        | None
    ) = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None

    def conversation(self) -> Conversation:
        """A last turn of the assistant's is continued."""
        choice = self.tool_choice
        silent = choice is not None and choice.type == "none"
        shown = [] if silent else self.tools or []
        tools = [tool.plain() for tool in shown]
        return Conversation(
            messages=[*self._system(), *(m for each in self.messages for m in each.plain())],
            tools=tools,
            use=(choice or ToolChoice(type="auto")).use(tools, [tool.strict for tool in shown]),
            resume=self.messages[-1].role == "assistant",
            options={"enable_thinking": self.thinks},
        )

    @property
    def thinks(self) -> bool:
        """Whether reasoning is wanted, and shown."""
        return self.thinking is not None and self.thinking.type != "disabled"

    def _system(self) -> list[dict[str, Any]]:
        text = self.system
        if isinstance(text, list):
            text = joined([block for block in text if not block.text.startswith(BILLING)])
        return [{"role": "system", "content": text}] if text else []


class MessagesBody(CountBody):
    max_tokens: Count
    stop_sequences: (
        Annotated[list[StopString], Field(fail_fast=True, max_length=MAX_STOP_STRINGS)] | None
    ) = None
    temperature: Annotated[float | None, Field(ge=0, le=2, allow_inf_nan=False)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1, allow_inf_nan=False)] = None
    top_k: Annotated[int | None, Field(ge=0, le=2**31 - 1)] = None
    output_config: OutputConfig | None = None
    stream: bool | None = None

    def sampling_params(self, defaults: dict[str, Any]) -> SamplingParams:
        """The engine's parameters; `defaults` are the checkpoint's."""
        form = self.output_config.format if self.output_config else None
        return params_of(
            defaults,
            structured_outputs=of_format(form, "output_config"),
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_tokens=self.max_tokens,
            stop=self.stop_sequences,
        )
