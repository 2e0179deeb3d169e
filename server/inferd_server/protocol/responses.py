"""The body of /v1/responses."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from inferd.errors import RequestError
from inferd.params import SamplingParams
from inferd_server.conversation import Conversation
from inferd_server.protocol.base import Body, Label, ModelName, Refusals, Text
from inferd_server.protocol.refused import INERT_RESPONSES, RESPONSES
from inferd_server.protocol.response_items import Items, plain
from inferd_server.protocol.sampling import Count, params_of
from inferd_server.protocol.structure import TextFormat, of_format
from inferd_server.protocol.tools import MAX_TOOLS, Choice, Function, Tool, ToolName, tool_use

LOGPROBS = "message.output_text.logprobs"
ResponseId = Annotated[str, Field(min_length=1, max_length=64)]


class ResponsesTool(Body):
    """A function of the client's, or a tool that only its vendor has."""

    type: Label
    name: ToolName | None = None
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None  # enforced for forced calls, and where the family has a call_frame

    def plain(self) -> dict[str, Any]:
        """As chat templates read it. Raises RequestError for a function without a name."""
        if self.name is None:
            raise RequestError("tools: a function needs a name", "tools")
        function = Function(
            name=self.name, description=self.description, parameters=self.parameters
        )
        return Tool(type="function", function=function).plain()


class Reasoning(Body):
    effort: Label | None = None


class TextConfig(Body):
    format: TextFormat | None = None


class ResponsesBody(Body):
    refused: ClassVar[Refusals] = RESPONSES
    inert: ClassVar[frozenset[str]] = INERT_RESPONSES
    sources: ClassVar[frozenset[str]] = frozenset({"text"})

    model: ModelName
    input: Text | Items
    instructions: Text | None = None
    previous_response_id: ResponseId | None = None
    max_output_tokens: Count | None = None
    ignore_eos: bool | None = None
    temperature: Annotated[float | None, Field(ge=0, le=2, allow_inf_nan=False)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1, allow_inf_nan=False)] = None
    include: Annotated[list[Label], Field(fail_fast=True, max_length=32)] | None = None
    top_logprobs: Annotated[int | None, Field(ge=0, le=20)] = None
    tools: Annotated[list[ResponsesTool], Field(fail_fast=True, max_length=MAX_TOOLS)] | None = None
    tool_choice: Choice = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    text: TextConfig | None = None
    metadata: (
        Annotated[
            dict[Label, Annotated[str, Field(max_length=512)]],
            Field(max_length=16),
        ]
        | None
    ) = None
    store: bool | None = None
    stream: bool | None = None
    background: bool | None = None

    def check(self) -> None:
        """Rules over several fields. Raises RequestError, naming the field."""
        if self.background and not self.keeps:
            raise RequestError("background needs store: true", "background")

    @property
    def keeps(self) -> bool:
        """Whether the response can be asked for later."""
        return self.store is not False

    @property
    def functions(self) -> list[dict[str, Any]]:
        """The tools that the model is shown."""
        return [tool.plain() for tool in self._shown]

    @property
    def _shown(self) -> list[ResponsesTool]:
        tools = [] if self.tool_choice == "none" else self.tools or []
        return [tool for tool in tools if tool.type == "function"]

    @property
    def vendor_tools(self) -> set[str]:
        """Types of tools that are not shown to the model: nobody here could run them."""
        return {tool.type for tool in self.tools or []} - {"function"}

    def messages(self) -> list[dict[str, Any]]:
        """The input as chat templates read it."""
        if isinstance(self.input, str):
            return [{"role": "user", "content": self.input}]
        return plain(self.input)

    def conversation(self, messages: list[dict[str, Any]]) -> Conversation:
        """`messages` under the instructions. Templates want one system message, at the start."""
        at = next((n for n, m in enumerate(messages) if m["role"] != "system"), len(messages))
        texts = [self.instructions, *(message["content"] for message in messages[:at])]
        system = "\n\n".join(text for text in texts if text)
        effort = self.reasoning.effort if self.reasoning else None
        return Conversation(
            messages=[*([{"role": "system", "content": system}] if system else []), *messages[at:]],
            tools=self.functions,
            use=tool_use(
                self.tool_choice,
                self.functions,
                self.parallel_tool_calls,
                [tool.strict for tool in self._shown],
            ),
            options={"reasoning_effort": effort} if effort else {},
            field="input",
        )

    def sampling_params(self, defaults: dict[str, Any]) -> SamplingParams:
        """The engine's parameters; `defaults` are the checkpoint's."""
        return params_of(
            defaults,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_output_tokens,
            ignore_eos=self.ignore_eos,
            logprobs=self.wanted_logprobs,
            structured_outputs=of_format(self.text.format if self.text else None, "text"),
        )

    @property
    def wanted_logprobs(self) -> int | None:
        return (self.top_logprobs or 0) if LOGPROBS in (self.include or ()) else None
