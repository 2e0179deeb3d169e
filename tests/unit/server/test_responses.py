"""/v1/responses: the official client, the events that agents read, and what the server keeps."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest
from asgi import Exchange, client_of
from test_openai_sdk import sdk_of

from inferd.errors import EngineDead, RequestError
from inferd_server.errors import ApiError
from inferd_server.event_log import EventLog, Told
from inferd_server.response_store import ResponseStore

pytestmark = pytest.mark.anyio
ASKED: dict[str, Any] = {"model": "tiny", "input": "hi"}
PROMPT = len("<user>hi<assistant>")


@pytest.fixture
def sdk(app: Any) -> openai.AsyncOpenAI:
    return sdk_of(app)


def events(text: str) -> list[dict[str, Any]]:
    """The data of every event, whose name is its type."""
    found = []
    for block in text.split("\n\n")[:-1]:
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


async def test_response(sdk: Any) -> None:
    reply = await sdk.responses.create(**ASKED, metadata={"a": "b"})
    assert reply.id.startswith("resp_")
    assert (reply.status, reply.output_text) == ("completed", "Hello!")
    assert (reply.output[0].type, reply.output[0].role) == ("message", "assistant")
    usage = reply.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (PROMPT, 7, PROMPT + 7)
    assert usage.input_tokens_details.cached_tokens == 4
    assert usage.output_tokens_details.reasoning_tokens == 0
    assert reply.metadata == {"a": "b"}


async def test_a_bound_leaves_it_incomplete(sdk: Any) -> None:
    reply = await sdk.responses.create(**ASKED, max_output_tokens=3)
    assert (reply.status, reply.output_text) == ("incomplete", "Hel")
    assert reply.incomplete_details.reason == "max_output_tokens"


async def test_load_tools_ask_for_exactly_so_many_tokens(sdk: Any, engine: Any) -> None:
    for asked in (False, True):
        await sdk.responses.create(**ASKED, extra_body={"ignore_eos": asked})
        assert engine.seen[-1].params.ignore_eos is asked


async def test_logprobs(sdk: Any) -> None:
    asked = {**ASKED, "include": ["message.output_text.logprobs"], "top_logprobs": 1}
    reply = await sdk.responses.create(**asked, max_output_tokens=2)
    logprobs = reply.output[0].content[0].logprobs
    assert [(p.token, p.logprob, p.top_logprobs[0].token) for p in logprobs] == [
        ("H", -1.0, "I"),
        ("e", -1.0, "f"),
    ]
    stream = await sdk.responses.create(**asked, stream=True)
    deltas = [e async for e in stream if e.type == "response.output_text.delta"]
    assert [delta.logprobs[0].token for delta in deltas] == list("Hello!")


async def test_stream_equals_the_whole_reply(sdk: Any) -> None:
    async with sdk.responses.stream(**ASKED) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_response()
    whole = await sdk.responses.create(**ASKED)
    assert (final.output_text, final.status) == (whole.output_text, whole.status)
    assert final.usage == whole.usage


async def test_events_in_their_order(client: httpx.AsyncClient) -> None:
    reply = await client.post("/v1/responses", json={**ASKED, "stream": True})
    found = events(reply.text)
    opened = ["created", "in_progress", "output_item.added", "content_part.added"]
    closed = ["output_text.done", "content_part.done", "output_item.done", "completed"]
    names = [*opened, *["output_text.delta"] * 6, *closed]
    assert [each["type"] for each in found] == [f"response.{name}" for name in names]
    assert [each["sequence_number"] for each in found] == list(range(len(found)))
    assert found[0]["response"]["status"] == "in_progress"
    assert found[-2]["item"]["content"][0]["text"] == "Hello!"
    last = found[-1]["response"]
    assert last["usage"]["input_tokens_details"] == {"cached_tokens": 4}
    assert last["usage"]["output_tokens_details"] == {"reasoning_tokens": 0}
    assert len({each["item_id"] for each in found if "item_id" in each}) == 1


AGENT = {
    "model": "tiny",
    "instructions": "be brief",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "x"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "list"}]},
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAA", "content": None},
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "ls?"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I"}]},
        {"type": "function_call", "call_id": "1", "name": "shell", "arguments": '{"c":["ls"]}'},
        {"type": "function_call", "call_id": "2", "name": "shell", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "a.txt"},
        {"type": "function_call_output", "call_id": "2", "output": "b.txt"},
    ],
    "tools": [
        {"type": "function", "name": "shell", "strict": False, "parameters": {"type": "object"}},
        {"type": "web_search"},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "low", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0195",
    "text": {"verbosity": "low"},
}


async def test_what_an_agent_sends(client: httpx.AsyncClient, engine: Any) -> None:
    """A turn as Codex sends it."""
    reply = await client.post("/v1/responses", json=AGENT)
    assert reply.status_code == 200, reply.text
    seen = engine.tokenizer.seen
    assert [message["role"] for message in seen["messages"]] == [
        *("system", "user", "assistant", "tool", "tool")
    ]
    assert seen["messages"][0]["content"] == "be brief\n\nx"
    assistant = seen["messages"][2]
    assert (assistant["content"], assistant["reasoning_content"]) == ("I", "ls?")
    arguments = [call["function"]["arguments"] for call in assistant["tool_calls"]]
    assert arguments == [{"c": ["ls"]}, {}]
    assert seen["tools"] == [
        {"type": "function", "function": {"name": "shell", "parameters": {"type": "object"}}}
    ]
    assert seen["reasoning_effort"] == "low"
    response_id = events(reply.text)[0]["response"]["id"]
    assert (await client.get(f"/v1/responses/{response_id}")).status_code == 404


async def test_a_conversation_goes_on(sdk: Any, engine: Any) -> None:
    first = await sdk.responses.create(**ASKED, instructions="be kind")
    second = await sdk.responses.create(
        model="tiny", input="and?", previous_response_id=first.id, stream=True
    )
    ended = [event async for event in second][-1].response
    third = await sdk.responses.create(model="tiny", input="so?", previous_response_id=ended.id)
    assert third.previous_response_id == ended.id
    prompt = "<user>hi<assistant>Hello!<user>and?<assistant>Hello!<user>so?<assistant>"
    assert engine.seen[2].prompt_ids == [ord(c) for c in prompt]
    assert (await sdk.responses.retrieve(first.id)).output_text == "Hello!"
    await sdk.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError) as gone:
        await sdk.responses.retrieve(first.id)
    assert gone.value.code == "response_not_found"
    with pytest.raises(openai.BadRequestError) as lost:
        await sdk.responses.create(**ASKED, previous_response_id=first.id)
    assert (lost.value.code, lost.value.param) == (
        "previous_response_not_found",
        "previous_response_id",
    )


async def test_in_the_background(sdk: Any, app: Any, engine: Any) -> None:
    engine.gate = asyncio.Event()
    reply = await sdk.responses.create(**ASKED, background=True)
    assert (reply.status, reply.output) == ("in_progress", [])
    assert (await sdk.responses.retrieve(reply.id)).status == "in_progress"
    assert app.state.service.num_open == 1
    engine.gate.set()
    while app.state.service.num_open:
        await asyncio.sleep(0)
    ended = await sdk.responses.retrieve(reply.id)
    assert (ended.status, ended.output_text) == ("completed", "Hello!")
    assert (await sdk.responses.cancel(reply.id)).status == "completed"


@pytest.mark.parametrize("delete", [False, True])
async def test_ending_one_in_the_background(sdk: Any, app: Any, engine: Any, delete: bool) -> None:
    engine.gate = asyncio.Event()
    reply = await sdk.responses.create(**ASKED, background=True)
    while not engine.num_unfinished:
        await asyncio.sleep(0)
    if delete:
        await sdk.responses.delete(reply.id)
    else:
        assert (await sdk.responses.cancel(reply.id)).status == "cancelled"
    while app.state.service.num_open:
        await asyncio.sleep(0)
    assert len(engine.aborted) == 1
    if delete:
        with pytest.raises(openai.NotFoundError):
            await sdk.responses.retrieve(reply.id)
    else:
        assert (await sdk.responses.retrieve(reply.id)).status == "cancelled"


async def test_one_that_fails_in_the_background(sdk: Any, app: Any, engine: Any) -> None:
    engine.broken_after = (2, EngineDead("the engine process died"))
    reply = await sdk.responses.create(**ASKED, background=True)
    while app.state.service.num_open or app.state.service.responses.is_running(reply.id):
        await asyncio.sleep(0)
    ended = await sdk.responses.retrieve(reply.id)
    assert (ended.status, ended.error.code) == ("failed", "server_error")


class Pace:
    """A gate that lets others run at every step."""

    async def wait(self) -> None:
        await asyncio.sleep(0)


async def test_cancelling_a_stream(app: Any, client: httpx.AsyncClient, engine: Any) -> None:
    engine.reply, engine.gate = "x" * 400, Pace()
    exchange = Exchange(app, "/v1/responses", {**ASKED, "stream": True})
    await exchange.until(2)
    exchange.stop_reading()
    response_id = events(exchange.chunks[0].decode())[0]["response"]["id"]
    cancelled = await client.post(f"/v1/responses/{response_id}/cancel")
    assert cancelled.json()["status"] == "cancelled"
    exchange.read_on()
    await exchange.task
    last = events(b"".join(exchange.chunks).decode())[-1]
    assert (last["type"], last["response"]["status"]) == ("response.incomplete", "cancelled")
    assert 0 < len(last["response"]["output"][0]["content"][0]["text"]) < 400
    assert len(engine.aborted) == 1


async def test_a_client_that_leaves_keeps_nothing(app: Any, engine: Any) -> None:
    engine.reply, engine.gate = "x" * 400, Pace()
    exchange = Exchange(app, "/v1/responses", {**ASKED, "stream": True})
    await exchange.until(2)
    await exchange.leave()
    response_id = events(exchange.chunks[0].decode())[0]["response"]["id"]
    assert len(engine.aborted) == 1
    assert not app.state.service.responses.is_running(response_id)
    with pytest.raises(ApiError):
        app.state.service.responses.get(response_id)


async def test_a_stream_that_breaks(client: httpx.AsyncClient, engine: Any) -> None:
    engine.broken_after = (3, EngineDead("the engine process died"))
    reply = await client.post("/v1/responses", json={**ASKED, "stream": True})
    last = events(reply.text)[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"]["code"] == "server_error"
    assert last["response"]["output"][0]["content"][0]["text"] == "Hel"


async def test_what_is_refused_before_it_begins(client: httpx.AsyncClient, engine: Any) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"input": []}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].message"),
        ({"input": "a" * 600}, "input"),
        ({"text": {"format": {"type": "json_schema"}}}, "text"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"truncation": "auto"}, "truncation"),
        ({"conversation": "c"}, "conversation"),
        ({"background": True, "store": False}, "background"),
    ]
    for extra, param in wrong:
        reply = await client.post("/v1/responses", json={**ASKED, **extra})
        assert reply.status_code == 400, (extra, reply.text)
        assert reply.json()["error"]["param"].startswith(param), (extra, reply.text)
    engine.error = RequestError("8 requests are waiting", code="queue_full")
    busy = await client.post("/v1/responses", json={**ASKED, "stream": True})
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "1")


def _response(number: int) -> dict[str, Any]:
    return {"id": f"resp_{number}", "text": "x" * 100}


def test_the_store_is_bounded_in_number() -> None:
    store = ResponseStore(max_responses=3)
    for number in range(3):
        store.keep(_response(number), [])
    store.get("resp_0")  # used: the next to go is another
    store.keep(_response(3), [])
    assert [n for n in range(4) if _has(store, n)] == [0, 2, 3]


def test_the_store_is_bounded_in_bytes() -> None:
    store = ResponseStore(max_bytes=400)
    for number in range(5):
        store.keep(_response(number), [])
    assert [n for n in range(5) if _has(store, n)] == [2, 3, 4]
    store.keep({"id": "resp_9", "text": "x" * 500}, [])
    assert not _has(store, 9)


def _has(store: ResponseStore, number: int) -> bool:
    try:
        store.get(f"resp_{number}")
    except ApiError:
        return False
    return True


async def test_input_items(sdk: Any) -> None:
    calls = [
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "c", "output": "2"},
    ]
    first = await sdk.responses.create(model="tiny", input="hi")
    second = await sdk.responses.create(
        model="tiny",
        input=[*calls, {"role": "user", "content": "so?"}],
        previous_response_id=first.id,
    )
    found = [item async for item in sdk.responses.input_items.list(second.id, limit=2, order="asc")]
    kinds = [item.type for item in found]
    assert kinds == ["message", "message", "function_call", "function_call_output", "message"]
    assert (found[0].content[0].text, found[1].role) == ("hi", "assistant")
    assert (found[2].arguments, found[3].output) == ('{"a":1}', "2")
    latest = await sdk.responses.input_items.list(second.id, limit=1)
    assert (latest.data[0].content[0].text, latest.has_more) == ("so?", True)


async def test_another_key_has_no_such_response(make_app: Any) -> None:
    app = make_app(api_keys=("a", "b"))
    mine, other = ({"Authorization": f"Bearer {key}"} for key in "ab")
    async with client_of(app) as client:
        made = await client.post("/v1/responses", json=ASKED, headers=mine)
        path = f"/v1/responses/{made.json()['id']}"
        for method, url in (
            ("GET", path),
            ("GET", f"{path}/input_items"),
            ("POST", f"{path}/cancel"),
            ("DELETE", path),
        ):
            reply = await client.request(method, url, headers=other)
            assert (reply.status_code, reply.json()["error"]["code"]) == (404, "response_not_found")
        next_one = ASKED | {"previous_response_id": made.json()["id"]}
        reply = await client.post("/v1/responses", json=next_one, headers=other)
        assert reply.json()["error"]["code"] == "previous_response_not_found"
        assert (await client.post("/v1/responses", json=next_one, headers=mine)).status_code == 200
        assert (await client.delete(path, headers=mine)).status_code == 200


async def test_events_are_told_again(client: httpx.AsyncClient, sdk: Any) -> None:
    made = await client.post("/v1/responses", json={**ASKED, "stream": True})
    told = events(made.text)
    path = f"/v1/responses/{told[0]['response']['id']}"
    assert (await client.get(f"{path}?stream=true")).text == made.text
    later = await client.get(f"{path}?stream=true&starting_after=3")
    assert later.headers["content-type"].startswith("text/event-stream")
    assert events(later.text) == told[4:]
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert (await client.get(f"{path}?stream=true&starting_after={len(told) - 1}")).text == ""
    stream = await sdk.responses.retrieve(told[0]["response"]["id"], stream=True, starting_after=3)
    assert [event.type async for event in stream] == [event["type"] for event in told[4:]]


async def test_following_one_that_is_being_made(app: Any, engine: Any) -> None:
    engine.gate = asyncio.Event()
    async with client_of(app) as client:
        asked = {**ASKED, "background": True, "stream": True}
        exchange = Exchange(app, "/v1/responses", asked)
        await exchange.until(1)
        (first, second) = events(exchange.chunks[0].decode())
        path = f"/v1/responses/{first['response']['id']}"
        follower = asyncio.create_task(client.get(f"{path}?stream=true&starting_after=0"))
        await exchange.leave()  # which does not end it
        engine.gate.set()
        followed = events((await follower).text)
        assert (followed[0], followed[-1]["type"]) == (second, "response.completed")
        assert followed[-1]["response"] == (await client.get(path)).json()
        assert followed == events((await client.get(f"{path}?stream=true")).text)[1:]
        assert not engine.aborted


@pytest.mark.parametrize("how", ["cancel", "delete", "break"])
async def test_how_one_that_is_followed_ends(app: Any, engine: Any, how: str) -> None:
    engine.gate = asyncio.Event()
    if how == "break":
        engine.broken_after = (2, EngineDead("the engine process died"))
    async with client_of(app) as client:
        asked = {**ASKED, "background": True, "stream": True}
        exchange = Exchange(app, "/v1/responses", asked)
        await exchange.until(1)
        path = f"/v1/responses/{events(exchange.chunks[0].decode())[0]['response']['id']}"
        if how == "cancel":
            await client.post(f"{path}/cancel")
        elif how == "delete":
            await client.delete(path)
        engine.gate.set()
        await exchange.task
        last = events(b"".join(exchange.chunks).decode())[-1]
        kinds = {"cancel": "incomplete", "delete": "in_progress", "break": "failed"}
        assert last["type"] == f"response.{kinds[how]}"
        assert (await client.get(path)).status_code == (404 if how == "delete" else 200)


async def test_events_that_are_not_there(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/responses", json=ASKED)
    path = f"/v1/responses/{made.json()['id']}"
    for query, param in (
        ("stream=true", "stream"),  # it was made in one piece
        ("stream=1", "stream"),
        ("starting_after=3", "starting_after"),
        ("stream=true&starting_after=x", "starting_after"),
        ("stream=true&starting_after=-1", "starting_after"),
    ):
        reply = await client.get(f"{path}?{query}")
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, param), query
    assert (await client.get("/v1/responses/resp_x?stream=true")).status_code == 404
    assert (await client.get(f"{path}?stream=false")).json() == made.json()


async def test_a_log_keeps_the_latest_events() -> None:
    log = EventLog(max_bytes=10)
    for number in range(7):
        log.add(b"%03d" % number)
    with pytest.raises(RequestError, match="first 4 events"):
        await log.since(3)
    assert await log.since(4) == Told(b"004005006", 7, is_last=False)
    waiting = [asyncio.create_task(log.since(7)) for _ in range(2)]
    await asyncio.sleep(0)
    log.add(b"7")
    assert [(await task).events for task in waiting] == [b"7", b"7"]
    log.close()
    assert await log.since(8) == await log.since(8) == Told(b"", 8, is_last=True)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=x", "limit=0101", "limit=1" + "0" * 5000, "order=up", "after=nobody"],
)
async def test_pages_that_are_not_there(client: httpx.AsyncClient, sdk: Any, query: str) -> None:
    response = await sdk.responses.create(**ASKED)
    reply = await client.get(f"/v1/responses/{response.id}/input_items?{query}")
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, query.partition("=")[0])
    assert (await client.get("/v1/responses/resp_x/input_items")).status_code == 404
