"""TemplateGate: chat templates of clients are rendered in a process that may die of them."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec

from inferd.engine.line_process import LineProcess
from inferd.engine.template_process import MOST_CHARS, Job, Rendered
from inferd.errors import RequestError

RENDER_S = 1.0
START_S = 30.0  # Python's, on a busy machine
WAIT_S = 10.0  # for the templates of others
COMMAND = (sys.executable, "-m", "inferd.engine.template_process")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Rendered).decode


class TemplateGate:
    """One process at a time, which renders one template at a time; it starts with the first."""

    def __init__(self) -> None:
        most_bytes = 8 * MOST_CHARS  # as JSON, with escapes
        self._process = LineProcess(COMMAND, greets=True, most_bytes=most_bytes)

    async def render(
        self, template: str, messages: list[dict[str, Any]], context: dict[str, Any], *, opens: bool
    ) -> str:
        """The conversation as text, its last message left open if it `opens`; `context` are further
        variables. Raises RequestError for a template that complains, or takes too much.
        """
        job = _encode(Job(template, messages, opens, context))
        text = "templates of others are being rendered; try again in a moment"
        async with self._process.turn(WAIT_S, RequestError(text, "chat_template", "queue_full")):
            found = await self._answer(job)
        if found.refusal is not None:
            raise RequestError(found.refusal, "chat_template")
        return found.text

    async def _answer(self, job: bytes) -> Rendered:
        try:
            await asyncio.wait_for(self._process.start(), START_S)
            line = await asyncio.wait_for(self._process.ask(job), RENDER_S)
        except TimeoutError:
            text = f"chat_template did not end within {RENDER_S:g} s"
            raise RequestError(text, "chat_template", "template_timeout") from None
        if not line:
            await self.stop()
            raise RequestError("chat_template takes too much memory", "chat_template")
        return _decode(line)

    async def stop(self) -> None:
        await self._process.stop()
