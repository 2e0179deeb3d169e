"""Tools and reasoning in every dialect, by the SDKs: what a model writes, and what clients read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import groupby
from typing import Any

import anthropic
import openai
import pytest
from scripted import Scripted, scripted

pytestmark = pytest.mark.anyio

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"$ref": "#/$defs/n"}},
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
PING = {"type": "function", "function": {"name": "ping"}}
TOOLS = [WEATHER, PING]
FLAT = [{"type": "function", **tool["function"]} for tool in TOOLS]
USED = [
    {"name": "get_weather", "input_schema": SCHEMA},
    {"name": "ping", "input_schema": {"type": "object"}},
]
ARGUMENTS = {"city": "Zürich", "days": 2}
CALL = json.dumps({"name": "get_weather", "arguments": ARGUMENTS}, ensure_ascii=False)
CALLS = f'<tool_call>\n{CALL}\n</tool_call>\n<tool_call>\n{{"name": "ping"}}\n</tool_call>'
ANSWER = f"<think>\nRain?\n</think>\n\nI look.\n{CALLS}"
PLAIN_CALL = CALL.replace(", ", ",").replace(": ", ":")  # as grammars write JSON
FORCED = f"[{PLAIN_CALL}]"
USER = {"role": "user", "content": "Rain?"}
ASKED: dict[str, Any] = {"model": "tiny", "messages": [USER], "tools": TOOLS}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def qwen(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scripted]:
    """Thinks in <think>, calls in <tool_call>; its prompts leave the thinking to the model."""
    async with scripted(tmp_path_factory.mktemp("qwen"), "<tool_call> </think>") as server:
        yield server


@pytest.fixture(scope="module")
async def thinker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scripted]:
    """Its prompts end with <think>."""
    folder = tmp_path_factory.mktemp("thinker")
    async with scripted(folder, "<tool_call> </think>", begin="<think>\n") as server:
        yield server


@pytest.fixture(scope="module")
async def mistral(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scripted]:
    """Its calls are marked by a special token, which text leaves out."""
    folder = tmp_path_factory.mktemp("mistral")
    async with scripted(folder, "[TOOL_CALLS]", special=("[TOOL_CALLS]", "[ARGS]")) as server:
        yield server


def called(calls: Any) -> list[tuple[str, Any]]:
    return [(call.function.name, json.loads(call.function.arguments)) for call in calls]


async def test_chat(qwen: Scripted) -> None:
    qwen.say(ANSWER)
    reply = await qwen.openai.chat.completions.create(**ASKED)
    (choice,) = reply.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "I look."
    assert choice.message.reasoning == choice.message.reasoning_content == "Rain?"
    assert called(choice.message.tool_calls) == [("get_weather", ARGUMENTS), ("ping", {})]
    assert len({call.id for call in choice.message.tool_calls}) == 2
    assert 0 < reply.usage.completion_tokens_details.reasoning_tokens < len(ANSWER) / 2


async def test_chat_stream_is_the_whole_reply(qwen: Scripted) -> None:
    qwen.say(ANSWER)
    whole = (await qwen.openai.chat.completions.create(**ASKED)).choices[0].message
    async with qwen.openai.chat.completions.stream(**ASKED) as stream:
        events = [event async for event in stream]
        final = (await stream.get_final_completion()).choices[0]
    assert final.finish_reason == "tool_calls"
    assert final.message.content == whole.content
    assert called(final.message.tool_calls) == called(whole.tool_calls)
    deltas = [e.chunk.choices[0].delta for e in events if e.type == "chunk"]
    assert "".join(getattr(d, "reasoning_content", None) or "" for d in deltas) == "Rain?"
    indices = [c.index for d in deltas for c in d.tool_calls or []]
    assert [index for index, _ in groupby(indices)] == [0, 1]  # a call may come in pieces


async def test_arguments_that_are_cut_off(qwen: Scripted) -> None:
    qwen.say(CALLS)
    reply = await qwen.openai.chat.completions.create(**ASKED, max_tokens=60)
    (choice,) = reply.choices
    assert choice.finish_reason == "length"
    (call,) = choice.message.tool_calls
    assert json.dumps(ARGUMENTS, ensure_ascii=False).startswith(call.function.arguments)
    message = await qwen.anthropic.messages.create(**{**MESSAGE, "max_tokens": 60})
    assert message.stop_reason == "max_tokens"
    assert message.content[0].input == {"INVALID_JSON": call.function.arguments}


async def test_one_call_where_one_is_asked_for(qwen: Scripted) -> None:
    qwen.say(ANSWER)
    reply = await qwen.openai.chat.completions.create(**ASKED, parallel_tool_calls=False)
    assert called(reply.choices[0].message.tool_calls) == [("get_weather", ARGUMENTS)]


@pytest.mark.parametrize("without", [{"tools": []}, {"tool_choice": "none"}])
async def test_without_tools_a_call_is_text(qwen: Scripted, without: dict[str, Any]) -> None:
    qwen.say(ANSWER)
    reply = await qwen.openai.chat.completions.create(**{**ASKED, **without})
    assert reply.choices[0].message.tool_calls is None
    assert reply.choices[0].message.content == f"I look.\n{CALLS}"
    assert reply.choices[0].finish_reason == "stop"


async def test_a_conversation_goes_on_after_a_call(qwen: Scripted) -> None:
    qwen.say(ANSWER)
    first = (await qwen.openai.chat.completions.create(**ASKED)).choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "sun"} for call in first.tool_calls
    ]
    qwen.say("No rain.")
    messages = [USER, first.model_dump(exclude_none=True), *results]
    reply = await qwen.openai.chat.completions.create(**{**ASKED, "messages": messages})
    assert reply.choices[0].message.content == "No rain."


FORCES: list[Any] = ["required", {"type": "function", "function": {"name": "get_weather"}}]


@pytest.mark.parametrize("choice", FORCES)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_forced_call(qwen: Scripted, choice: Any, stream: bool) -> None:
    qwen.say(FORCED)
    asked = {**ASKED, "tool_choice": choice}
    if stream:
        async with qwen.openai.chat.completions.stream(**asked) as chunks:
            reply = await chunks.get_final_completion()
    else:
        reply = await qwen.openai.chat.completions.create(**asked)
    (found,) = reply.choices
    assert called(found.message.tool_calls) == [("get_weather", ARGUMENTS)]
    assert found.finish_reason == "tool_calls"
    assert not found.message.content


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        ("required", "Hello"),
        ("required", '[{"name":"other","arguments":{}}]'),
        ("required", FORCED.replace(":2}", ":200}")),
        (FORCES[1], '[{"name":"ping","arguments":{}}]'),
        (FORCES[1], f"[{PLAIN_CALL},{PLAIN_CALL}]"),
    ],
)
async def test_the_grammar_of_a_forced_call_allows_nothing_else(
    qwen: Scripted, choice: Any, text: str
) -> None:
    """The scripted model fails with a token that the grammar forbids."""
    qwen.say(text)
    with pytest.raises(openai.InternalServerError, match="grammar does not allow"):
        await qwen.openai.chat.completions.create(**ASKED, tool_choice=choice)


async def test_a_forced_call_is_not_thought_about(thinker: Scripted) -> None:
    thinker.say(FORCED)
    asked = {**ASKED, "tool_choice": "required"}
    reply = await thinker.openai.chat.completions.create(
        **asked, extra_body={"return_token_ids": True}
    )
    assert called(reply.choices[0].message.tool_calls) == [("get_weather", ARGUMENTS)]
    assert thinker.text(reply.prompt_token_ids).endswith("<think>\n\n</think>\n\n")


async def test_reasoning_that_the_prompt_began(thinker: Scripted) -> None:
    thinker.say("Rain?\n</think>\n\nNo.")
    message = (await thinker.openai.chat.completions.create(**ASKED)).choices[0].message
    assert (message.reasoning_content, message.content) == ("Rain?", "No.")


@pytest.mark.parametrize(
    ("extra", "param"),
    [
        ({"tools": [], "tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
        ({"tool_choice": {"type": "custom"}}, "tool_choice"),
        ({"tool_choice": "required", "response_format": {"type": "json_object"}}, "tool_choice"),
    ],
)
async def test_what_cannot_be_forced(qwen: Scripted, extra: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await qwen.openai.chat.completions.create(**{**ASKED, **extra})
    assert caught.value.param == param


async def test_a_schema_that_cannot_be_enforced_names_tools(qwen: Scripted) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    with pytest.raises(openai.BadRequestError, match="uniqueItems") as caught:
        await qwen.openai.chat.completions.create(
            **{**ASKED, "tools": [tool]}, tool_choice="required"
        )
    assert caught.value.param == "tools"


async def test_calls_that_a_special_token_marks(mistral: Scripted) -> None:
    mistral.say(f"I look.[TOOL_CALLS]get_weather[ARGS]{json.dumps(ARGUMENTS)}")
    message = (await mistral.openai.chat.completions.create(**ASKED)).choices[0].message
    assert message.content == "I look."
    assert called(message.tool_calls) == [("get_weather", ARGUMENTS)]
    assert len(message.tool_calls[0].id) == 9


async def test_responses(qwen: Scripted) -> None:
    qwen.say(ANSWER)
    asked = {"model": "tiny", "input": "Rain?", "tools": FLAT}
    reply = await qwen.openai.responses.create(**asked)
    kinds = ["reasoning", "message", "function_call", "function_call"]
    assert [item.type for item in reply.output] == kinds
    assert reply.output[0].content[0].text == "Rain?"
    assert reply.output_text == "I look."
    assert json.loads(reply.output[2].arguments) == ARGUMENTS
    assert reply.usage.output_tokens_details.reasoning_tokens > 0
    results = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "sun"}
        for item in reply.output[2:]
    ]
    qwen.say("No rain.")
    again = await qwen.openai.responses.create(
        model="tiny", input=results, tools=FLAT, previous_response_id=reply.id
    )
    assert again.output_text == "No rain."


async def test_responses_stream_is_the_whole_reply(qwen: Scripted) -> None:
    qwen.say(ANSWER)
    stream = await qwen.openai.responses.create(
        model="tiny", input="Rain?", tools=FLAT, stream=True
    )
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    final = events[-1].response
    assert events[-1].type == "response.completed"
    added = [e.item.id for e in events if e.type == "response.output_item.added"]
    done = [e.item for e in events if e.type == "response.output_item.done"]
    assert added == [item.id for item in done] == [item.id for item in final.output]
    assert [item.model_dump() for item in done] == [item.model_dump() for item in final.output]
    assert _joined(events, "response.reasoning_text.delta") == "Rain?"
    assert _joined(events, "response.output_text.delta") == "I look."
    arguments = [e for e in events if e.type == "response.function_call_arguments.done"]
    assert [(e.name, json.loads(e.arguments)) for e in arguments] == [
        ("get_weather", ARGUMENTS),
        ("ping", {}),
    ]


def _joined(events: list[Any], kind: str) -> str:
    return "".join(event.delta for event in events if event.type == kind)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
async def test_responses_forced(qwen: Scripted, choice: Any) -> None:
    qwen.say(FORCED)
    reply = await qwen.openai.responses.create(
        model="tiny", input="Rain?", tools=FLAT, tool_choice=choice
    )
    assert [item.type for item in reply.output] == ["function_call"]


STRICT = [{"type": "function", "function": {"name": "ping", "strict": True}}]
STRICT_ASKED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": [USER], "tools": STRICT}),
    ("/v1/responses", {"input": "hi", "tools": [{"type": "function", **STRICT[0]["function"]}]}),
    (
        "/v1/messages",
        {"messages": [USER], "max_tokens": 9, "tools": [{**USED[1], "strict": True}]},
    ),
]


@pytest.mark.parametrize(("path", "body"), STRICT_ASKED)
async def test_strict_that_has_no_effect_is_told_of(
    stranger: Scripted, path: str, body: dict[str, Any]
) -> None:
    stranger.say("Hi.")
    reply = await stranger.http.post(path, json={"model": "tiny", **body})
    assert reply.status_code == 200
    assert "strict of tools" in reply.headers["x-inferd-notes"]
    stranger.say('[{"name":"ping","arguments":{}}]')
    choice = {"type": "any"} if "max_tokens" in body else "required"
    reply = await stranger.http.post(path, json={"model": "tiny", **body, "tool_choice": choice})
    assert reply.status_code == 200
    assert "x-inferd-notes" not in reply.headers


@pytest.mark.parametrize(("path", "body"), STRICT_ASKED)
async def test_strict_has_its_effect_where_it_can(
    qwen: Scripted, path: str, body: dict[str, Any]
) -> None:
    for text in ("Hi.", '<tool_call>\n{"name": "ping", "arguments": {}}\n</tool_call>'):
        qwen.say(text)
        reply = await qwen.http.post(path, json={"model": "tiny", **body})
        assert reply.status_code == 200, reply.text
        assert "x-inferd-notes" not in reply.headers


@pytest.fixture(scope="module")
async def ministral(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scripted]:
    """Its calls stand between special tokens."""
    folder, marks = tmp_path_factory.mktemp("ministral"), ("[TOOL_CALLS]", "[ARGS]")
    async with scripted(folder, " ".join(marks), special=marks) as server:
        yield server


EXACT: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA, "strict": True}},
    PING,
]
OTHER = '<tool_call>\n{"name": "ping", "arguments": {"x": 1}}\n</tool_call>'


@pytest.mark.parametrize("text", [f"I look.\n<tool_call>\n{CALL}\n</tool_call>", "No.", OTHER])
async def test_strict_tools_beside_free_text(qwen: Scripted, text: str) -> None:
    """What stands outside of calls is free, and so are arguments of tools that are not strict."""
    qwen.say(text)
    whole = await qwen.openai.chat.completions.create(**{**ASKED, "tools": EXACT})
    qwen.say(text)
    free = await qwen.openai.chat.completions.create(**ASKED)
    for each in (whole, free):
        for call in each.choices[0].message.tool_calls or []:
            call.id = ""
    assert whole.choices == free.choices


@pytest.mark.parametrize(
    "text", [CALL.replace("2}", '"2"}'), CALL.replace("city", "town"), CALL.replace("get_", "got_")]
)
async def test_the_grammar_of_strict_tools_allows_no_other_call(qwen: Scripted, text: str) -> None:
    qwen.say(f"I look.\n<tool_call>\n{text}\n</tool_call>")
    with pytest.raises(openai.InternalServerError, match="grammar does not allow"):
        await qwen.openai.chat.completions.create(**{**ASKED, "tools": EXACT})


async def test_strict_tools_between_special_tokens(ministral: Scripted) -> None:
    asked = {**ASKED, "tools": EXACT}
    arguments = json.dumps(ARGUMENTS, ensure_ascii=False)
    ministral.say(f"I look.[TOOL_CALLS]get_weather[ARGS]{arguments}[TOOL_CALLS]ping[ARGS]{{}}")
    reply = await ministral.openai.chat.completions.create(**asked)
    message = reply.choices[0].message
    assert message.content == "I look."
    assert called(message.tool_calls) == [("get_weather", ARGUMENTS), ("ping", {})]
    ministral.say("[TOOL_CALLS]get_weather[ARGS]{}")
    with pytest.raises(openai.InternalServerError, match="grammar does not allow"):
        await ministral.openai.chat.completions.create(**asked)


@pytest.fixture(scope="module")
async def coder(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scripted]:
    """Writes arguments between tags, without quotes."""
    async with scripted(tmp_path_factory.mktemp("coder"), "<tool_call> <function=") as server:
        yield server


@pytest.fixture(scope="module")
async def stranger(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scripted]:
    """Takes tools, and writes calls in a way that nobody knows."""
    async with scripted(tmp_path_factory.mktemp("stranger"), "") as server:
        yield server


def tagged(name: str, **arguments: str) -> str:
    fields = "".join(f"<parameter={k}>\n{v}\n</parameter>\n" for k, v in arguments.items())
    return f"<tool_call>\n<function={name}>\n{fields}</function>\n</tool_call>"


async def test_strict_tools_whose_arguments_are_tags(coder: Scripted) -> None:
    asked = {**ASKED, "tools": EXACT}
    coder.say(
        f"I look.\n{tagged('get_weather', city='Zürich', days='2')}\n{tagged('ping', x='<1')}"
    )
    message = (await coder.openai.chat.completions.create(**asked)).choices[0].message
    assert message.content == "I look."
    assert called(message.tool_calls) == [("get_weather", ARGUMENTS), ("ping", {"x": "<1"})]
    for wrong in (
        tagged("get_weather", days="2"),
        tagged("get_weather", city="Zürich", days="two"),
        tagged("get_weather", city="Z" * 21),
        tagged("get_weather", city="Zürich", country="CH"),
    ):
        coder.say(wrong)
        with pytest.raises(openai.InternalServerError, match="grammar does not allow"):
            await coder.openai.chat.completions.create(**asked)


async def test_what_text_without_quotes_cannot_be_held_to_is_refused(coder: Scripted) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^x"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}
    with pytest.raises(openai.BadRequestError, match="strict of f: pattern of a") as caught:
        await coder.openai.chat.completions.create(**{**ASKED, "tools": [tool]})
    assert caught.value.param == "tools"


async def test_strict_tools_in_a_list_of_calls(mistral: Scripted) -> None:
    asked = {**ASKED, "tools": EXACT}
    mistral.say(f'I look.[TOOL_CALLS][{CALL}, {{"name": "ping", "arguments": {{"x": 1}}}}]')
    message = (await mistral.openai.chat.completions.create(**asked)).choices[0].message
    assert message.content == "I look."
    assert called(message.tool_calls) == [("get_weather", ARGUMENTS), ("ping", {"x": 1})]
    for wrong in (CALL.replace("2}", '"2"}'), CALL.replace("get_", "got_")):
        mistral.say(f"[TOOL_CALLS][{wrong}]")
        with pytest.raises(openai.InternalServerError, match="grammar does not allow"):
            await mistral.openai.chat.completions.create(**asked)


async def test_a_strict_schema_that_cannot_be_enforced_names_tools(qwen: Scripted) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}
    with pytest.raises(openai.BadRequestError, match="uniqueItems") as caught:
        await qwen.openai.chat.completions.create(**{**ASKED, "tools": [tool]})
    assert caught.value.param == "tools"


MESSAGE: dict[str, Any] = {
    "model": "tiny",
    "max_tokens": 1000,
    "messages": [USER],
    "tools": USED,
    "thinking": {"type": "enabled", "budget_tokens": 1024},
}


async def test_messages(qwen: Scripted) -> None:
    qwen.say(ANSWER)
    reply = await qwen.anthropic.messages.create(**MESSAGE)
    assert [block.type for block in reply.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert reply.content[0].thinking == "Rain?"
    assert reply.content[1].text == "I look."
    assert (reply.content[2].name, reply.content[2].input) == ("get_weather", ARGUMENTS)
    assert reply.stop_reason == "tool_use"
    async with qwen.anthropic.messages.stream(**MESSAGE) as stream:
        names = [event.type async for event in stream]
        final = await stream.get_final_message()
    shown = [block.model_dump(exclude={"id"}) for block in reply.content]
    assert [block.model_dump(exclude={"id"}) for block in final.content] == shown
    assert final.stop_reason == "tool_use"
    assert names[0] == "message_start"
    assert names[-1] == "message_stop"


async def test_thinking_that_was_not_asked_for_is_left_out(qwen: Scripted) -> None:
    qwen.say(ANSWER)
    reply = await qwen.anthropic.messages.create(**{**MESSAGE, "thinking": {"type": "disabled"}})
    assert [block.type for block in reply.content] == ["text", "tool_use", "tool_use"]


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
async def test_messages_forced(qwen: Scripted, choice: Any) -> None:
    qwen.say(FORCED)
    reply = await qwen.anthropic.messages.create(**MESSAGE, tool_choice=choice)
    assert [block.type for block in reply.content] == ["tool_use"]
    assert reply.content[0].input == ARGUMENTS


async def test_messages_force_only_tools_that_are_there(qwen: Scripted) -> None:
    with pytest.raises(anthropic.BadRequestError, match="tool_choice"):
        choice = {"type": "tool", "name": "other"}
        await qwen.anthropic.messages.create(**MESSAGE, tool_choice=choice)
