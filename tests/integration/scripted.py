"""The whole front end over a real engine process whose answers are scripted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
from tokenizers import AddedToken, Tokenizer

from inferd.config.engine import EngineConfig
from inferd.engine.async_engine import AsyncEngine
from inferd.testing.tiny_tokenizer import write_tokenizer
from inferd_server.app import create_app
from inferd_server.settings import Settings

TEMPLATE = (
    "{# MARKS #}{% if tools %}{{ tools | tojson }}\n{% endif %}"
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}"
    "{% for c in m.tool_calls or [] %}[{{ c.function.name }} {{ c.function.arguments | tojson }}]"
    "{% endfor %}\n{% endfor %}{% if add_generation_prompt %}<assistant>BEGIN{% endif %}"
)


class Scripted:
    """A server in memory; `say` sets what it answers next, and from then on."""

    def __init__(self, folder: Path, app: Any) -> None:
        self._folder = folder
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.http = _client(app)
        self.openai = openai.AsyncOpenAI(
            base_url="http://test/v1", api_key="k", max_retries=0, http_client=_client(app)
        )
        self.anthropic = anthropic.AsyncAnthropic(
            base_url="http://test", api_key="k", max_retries=0, http_client=_client(app)
        )

    def say(self, text: str) -> None:
        script = json.dumps([self._tokenizer.encode(text, add_special_tokens=False).ids])
        new = self._folder / "script.new"
        new.write_text(script)
        new.rename(self._folder / "script.json")

    def text(self, token_ids: list[int]) -> str:
        return self._tokenizer.decode(token_ids, skip_special_tokens=False)


def _client(app: Any) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://test")


@asynccontextmanager
async def scripted(
    folder: Path, marks: str, *, begin: str = "", special: tuple[str, ...] = ()
) -> AsyncIterator[Scripted]:
    """Of a model whose chat template holds `marks` and ends prompts with `begin`."""
    _write(folder, TEMPLATE.replace("MARKS", marks).replace("BEGIN", begin), special)
    options = {"models_scripted": {"script": str(folder / "script.json")}}
    config = EngineConfig.of(str(folder), executor="scripted", plugin_options=options)
    engine = AsyncEngine(config)
    await engine.start()
    try:
        app = create_app(engine, Settings(model="tiny", served_names=("tiny",)))
        app.state.service.phase = "ready"
        yield Scripted(folder, app)
    finally:
        await engine.stop()


def _write(folder: Path, template: str, special: tuple[str, ...]) -> None:
    write_tokenizer(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "config.json").write_text(json.dumps({"eos_token_id": 257}))
    (folder / "script.json").write_text("[[1]]")
