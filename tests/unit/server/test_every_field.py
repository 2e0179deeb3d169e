"""Every field of every body refuses every wrong type and whatever is out of its range.

The values come from the models themselves, so a new field is covered when it is written.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from wrong_values import fields

from inferd_server.protocol.base import Body
from inferd_server.protocol.chat import ChatBody
from inferd_server.protocol.completions import CompletionBody
from inferd_server.protocol.messages import CountBody, MessagesBody
from inferd_server.protocol.responses import ResponsesBody
from inferd_server.protocol.tokens import DetokenizeBody, TokenizeBody

pytestmark = pytest.mark.anyio
JSON = {"Content-Type": "application/json"}
USER = {"role": "user", "content": "hi"}
BODIES: list[tuple[str, type[Body], dict[str, Any]]] = [
    ("/v1/chat/completions", ChatBody, {"model": "tiny", "messages": [USER]}),
    ("/v1/completions", CompletionBody, {"model": "tiny", "prompt": "abc"}),
    ("/v1/responses", ResponsesBody, {"model": "tiny", "input": "hi"}),
    ("/v1/messages", MessagesBody, {"model": "tiny", "messages": [USER], "max_tokens": 9}),
    ("/v1/messages/count_tokens", CountBody, {"model": "tiny", "messages": [USER]}),
    ("/tokenize", TokenizeBody, {"prompt": "abc"}),
    ("/detokenize", DetokenizeBody, {"tokens": [97]}),
]
CASES = [
    pytest.param(path, right, name, values, id=f"{path}-{name}")
    for path, model, right in BODIES
    for name, values in fields(model)
]


@pytest.mark.parametrize(("path", "right", "name", "values"), CASES)
async def test_wrong_values(
    client: httpx.AsyncClient, path: str, right: dict[str, Any], name: str, values: list[Any]
) -> None:
    assert len(values) >= 5  # at least the other JSON types
    rest = {key: value for key, value in right.items() if (key, name) != ("prompt", "messages")}
    for value in values:
        content = json.dumps({**rest, name: value})
        reply = await client.post(path, content=content, headers=JSON)
        assert reply.status_code == 400, (content[:200], reply.text)
        error = reply.json()["error"]
        assert error["type"] == "invalid_request_error"
        if "NaN" not in content and "Infinity" not in content:  # those name the innermost field
            assert _param(error, name).startswith(name), (content[:200], reply.text)
        assert len(reply.content) < 4096
    assert (await client.post(path, json=right)).status_code == 200


def _param(error: dict[str, Any], name: str) -> str:
    """Anthropic's errors have no param: what the message begins with, unless the JSON is wrong."""
    if "param" in error:
        return error["param"] or name
    return name if "the JSON" in error["message"] else error["message"]


@pytest.mark.parametrize(("path", "model", "right"), BODIES, ids=[path for path, *_ in BODIES])
async def test_missing_fields_and_unknown_ones(
    client: httpx.AsyncClient, path: str, model: type[Body], right: dict[str, Any]
) -> None:
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    for name in required:
        reply = await client.post(path, json={k: v for k, v in right.items() if k != name})
        assert reply.status_code == 400
        assert _param(reply.json()["error"], name).startswith(name)
    unknown = {"foo": 1, "": None, "__class__": {}, "x" * 1000: [1]}
    assert (await client.post(path, json={**right, **unknown})).status_code == 200
