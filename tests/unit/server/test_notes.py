"""Unknown fields are accepted, and told of: in a header of the reply, and once in the log."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio
HEADER = "x-inferd-notes"
USER = {"role": "user", "content": "hi"}
CHAT: dict[str, Any] = {"model": "tiny", "messages": [USER]}
ROUTES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"model": "tiny", "prompt": "a"},
    "/v1/responses": {"model": "tiny", "input": "a"},
    "/v1/messages": {**CHAT, "max_tokens": 9},
}


async def _notes(client: httpx.AsyncClient, path: str, **extra: Any) -> str | None:
    reply = await client.post(path, json={**ROUTES[path], **extra})
    assert reply.status_code == 200, reply.text
    note: str | None = reply.headers.get(HEADER)
    return note


@pytest.mark.parametrize("path", ROUTES)
async def test_a_slip_is_named_with_what_was_meant(client: httpx.AsyncClient, path: str) -> None:
    assert await _notes(client, path) is None
    note = await _notes(client, path, temprature=0.5, stream=True)
    assert note == "unknown field temprature, did you mean temperature?"
    assert await _notes(client, path, quux=1) == "unknown field quux"


async def test_a_wrong_request_is_told_too(client: httpx.AsyncClient) -> None:
    wrong = {**CHAT, "top_q": 0.5, "temperature": 9}
    reply = await client.post("/v1/chat/completions", json=wrong)
    assert reply.status_code == 400
    assert reply.headers[HEADER] == "unknown field top_q, did you mean top_p?"


HABITS = ["metadata", "service_tier"]
OPENAI = [*HABITS, "parallel_tool_calls", "prompt_cache_key", "safety_identifier", "user", "store"]


@pytest.mark.parametrize(
    ("path", "names"),
    [("/v1/messages", [*HABITS, "cache_control"])]
    + [(path, OPENAI) for path in ROUTES if path != "/v1/messages"],
)
async def test_what_clients_send_by_habit_is_known(
    client: httpx.AsyncClient, path: str, names: list[str]
) -> None:
    assert await _notes(client, path, **dict.fromkeys(names)) is None


async def test_names_cannot_write_headers_and_are_few(client: httpx.AsyncClient) -> None:
    hostile = {f"{n}\r\nx-evil: 1": 1 for n in range(100)}
    note = await _notes(client, "/v1/chat/completions", **hostile)
    assert note == "; ".join(["unknown field (not shown)"] * 8)
    long = await _notes(client, "/v1/chat/completions", **{"x" * 65: 1, "é": 1})
    assert long == "; ".join(["unknown field (not shown)"] * 2)


async def test_the_log_has_it_once(client: httpx.AsyncClient, caplog: Any) -> None:
    for _ in range(3):
        await _notes(client, "/v1/chat/completions", temprature=0.5)
    found = [r.getMessage() for r in caplog.records if "unknown field" in r.getMessage()]
    assert found == ["a client sent unknown field temprature, did you mean temperature?"]


async def test_tools_of_a_vendor_are_told_of(client: httpx.AsyncClient) -> None:
    tools = [{"type": "web_search"}, {"type": "a\nb"}]
    note = await _notes(client, "/v1/responses", tools=tools)
    assert note == "; ".join(
        f"a tool of type {kind}, which the model is not shown"
        for kind in ("(not shown)", "web_search")
    )


async def test_every_reply_says_how_long_it_took(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/nothing"):
        assert int((await client.get(path)).headers["openai-processing-ms"]) >= 0
