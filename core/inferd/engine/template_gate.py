"""TemplateGate: chat templates of clients are rendered in a process that may die of them."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec

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
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    async def render(
        self, template: str, messages: list[dict[str, Any]], context: dict[str, Any], *, opens: bool
    ) -> str:
        """The conversation as text, its last message left open if it `opens`; `context` are further
        variables. Raises RequestError for a template that complains, or takes too much.
        """
        job = _encode(Job(template, messages, opens, context)) + b"\n"
        try:
            await asyncio.wait_for(self._lock.acquire(), WAIT_S)
        except TimeoutError:
            text = "templates of others are being rendered; try again in a moment"
            raise RequestError(text, "chat_template", "queue_full") from None
        try:
            found = await self._answer(job)
        finally:
            self._lock.release()
        if found.refusal is not None:
            raise RequestError(found.refusal, "chat_template")
        return found.text

    async def _answer(self, job: bytes) -> Rendered:
        try:
            process = await self._running()
            line = await asyncio.wait_for(_line(process, job), RENDER_S)
        except TimeoutError:
            await self.stop()
            text = f"chat_template did not end within {RENDER_S:g} s"
            raise RequestError(text, "chat_template", "template_timeout") from None
        except BaseException:  # an answer that nobody waited for would be taken for the next one's
            await self.stop()
            raise
        if not line:
            await self.stop()
            raise RequestError("chat_template takes too much memory", "chat_template")
        return _decode(line)

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *COMMAND,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=8 * MOST_CHARS,  # as JSON, with escapes
            )
            assert self._process.stdout is not None
            await asyncio.wait_for(self._process.stdout.readline(), START_S)
        return self._process

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()


async def _line(process: asyncio.subprocess.Process, job: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(job)
    return await process.stdout.readline()
