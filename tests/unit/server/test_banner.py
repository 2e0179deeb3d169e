"""What the operator sees: a screen on a terminal, JSON lines when piped."""

from __future__ import annotations

import io
import json
import shlex
from dataclasses import replace
from typing import Any

import pytest

from inferd.config.engine import EngineConfig
from inferd.contracts.executor import WorkerInfo
from inferd_server.banner import Banner, facts
from inferd_server.keys import Key
from inferd_server.settings import Settings

INFO = WorkerInfo(
    8192,
    1000,
    4097,
    16,
    (("full", None),),
    {"weight_bytes": 270 << 20, "kv_bytes": 3 << 30, "dtype": "bfloat16", "device": "cpu"},
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(out: io.StringIO, url: str = "http://127.0.0.1:8000", **settings: Any) -> str:
    banner = Banner(Settings(**settings), out)
    banner.loading(url)
    banner.ready(url, INFO, EngineConfig.of("m"), 2.34)
    return out.getvalue()


def test_lines_when_piped() -> None:
    loading, ready = map(json.loads, shown(io.StringIO()).splitlines())
    assert loading == {"event": "loading", "url": "http://127.0.0.1:8000", "model": "smollm2"}
    assert ready["event"] == "ready"
    assert ready["kv_tokens"] == 4096 * 16
    assert ready["concurrent_at_max_len"] == 8


def test_every_group_takes_blocks_of_its_own_and_a_window_few() -> None:
    windows = (("full", None), *(("window", 512),) * 3)
    ready = facts(replace(INFO, groups=windows), EngineConfig.of("m", max_num_batched_tokens=480))
    assert ready["kv_tokens"] == 4096 * 16 // 4
    of_windows = 3 * (512 + 480 + 16) // 16
    assert ready["concurrent_at_max_len"] == 4096 // (8192 // 16 + of_windows)
    assert ready["concurrent_at_eighth"] == 4096 // (1024 // 16 + of_windows)


def test_what_fits_on_a_terminal() -> None:
    text = shown(Terminal())
    assert "270 MiB of weights in bfloat16 on cpu" in text
    assert "3.0 GiB = 65,536 tokens: 8 requests of 8,192 tokens at once or 64 of 1,024" in text
    assert "in 2.3 s" in text


def test_what_becomes_of_packed_weights() -> None:
    known = INFO.summary | {"weight_formats": {"w4_g": "packed", "w3_g": "dequantized when loaded"}}
    out = Terminal()
    Banner(Settings(), out).ready("http://x", replace(INFO, summary=known), EngineConfig.of("m"), 1)
    assert "in bfloat16, w4_g packed, w3_g dequantized when loaded on cpu" in out.getvalue()


@pytest.mark.parametrize("name", ["smollm2", 'it\'s [bold] "odd"'])
def test_the_curl_line_survives_a_shell(name: str) -> None:
    text = shown(Terminal(), "http://0.0.0.0:80", served_names=(name,), keys=(Key.parse("secret"),))
    (line,) = (line for line in text.splitlines() if line.startswith("curl "))
    words = shlex.split(line)
    assert words[1] == "http://127.0.0.1:80/v1/chat/completions"
    assert "Authorization: Bearer $INFERD_API_KEY" in words
    assert json.loads(words[-1])["model"] == name
    assert json.loads(words[-1])["max_tokens"] == 64
    assert "secret" not in text
