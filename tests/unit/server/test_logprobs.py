"""Candidates as clients read them."""

from __future__ import annotations

from inferd.engine.outputs import Logprob
from inferd_server.logprobs import chat_logprobs


def test_part_of_a_character_has_its_own_bytes() -> None:
    """As OpenAI says of them: clients join bytes where a character takes several tokens."""
    entry = {7: Logprob(-0.5, 1, "\ufffd", b"\xe6\x97"), 8: Logprob(-1.0, 2, "é")}
    (found,) = chat_logprobs([entry], 2)["content"]
    assert (found["token"], found["bytes"]) == ("\ufffd", [0xE6, 0x97])
    assert [each["bytes"] for each in found["top_logprobs"]] == [[0xE6, 0x97], [0xC3, 0xA9]]
