"""Events of a stream, as clients read them."""

from __future__ import annotations

import json

import pytest

from inferd_server.chunks import CHAT, COMPLETION, Chunks

ENDS = "a\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\u00e9\u4e16b"


@pytest.mark.parametrize("shape", [CHAT, COMPLETION])
def test_an_event_is_one_line_wherever_a_client_ends_lines(shape) -> None:
    chunks = Chunks(shape, "id", 1, "tiny", with_usage=False)
    for event in (chunks.text(0, ENDS), chunks.full(0, ENDS, {"stop_reason": ENDS}, None)):
        line, empty = event.decode().splitlines()
        assert not empty
        choice = json.loads(line.removeprefix("data: "))["choices"][0]
        assert choice.get("text", choice.get("delta", {}).get("content")) == ENDS
        assert choice.get("stop_reason") in {None, ENDS}
