"""A streaming client of /v1/completions: one connection per request, times of every event.

A few lines of its own instead of an HTTP library: with hundreds of streams a general client's work
per event would be measured along with the server's.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httptools

from inferd.cli.bench.outcome import Outcome, error_message
from inferd.cli.bench.workload import Job
from inferd.errors import EnvironmentProblem, UsageError

READ_BYTES = 1 << 16
BAD_REPLY = (httptools.HttpParserError, ValueError, KeyError, TypeError, AttributeError)


class Client:
    """Sends jobs to one server. Raises UsageError for a URL it cannot use."""

    def __init__(
        self, url: str, model: str, *, api_key: str | None = None, timeout_s: float = 600.0
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--url {url!r}: give http://HOST:PORT")
        secure = parts.scheme == "https"
        self._ssl = ssl.create_default_context() if secure else None
        self._host, self._port = parts.hostname, parts.port or (443 if secure else 80)
        self._path = parts.path.rstrip("/").removesuffix("/v1") + "/v1"
        self._headers = {"Host": parts.netloc, "Connection": "close"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self.url = url
        self.model = model
        self._timeout_s = timeout_s

    async def complete(self, job: Job) -> Outcome:
        """Stream one completion; every failure is in the outcome, none is raised."""
        outcome = Outcome(time.perf_counter(), len(job.prompt_ids))
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._stream(job, outcome)
        except TimeoutError:
            outcome.error = f"no end after {self._timeout_s:g} s"
        except OSError as error:
            outcome.error = f"connection: {error.strerror or type(error).__name__}"
        except BAD_REPLY as error:
            outcome.error = f"not understood: {type(error).__name__}: {error}"[:200]
        outcome.close(time.perf_counter())
        return outcome

    async def models(self) -> list[str]:
        """The names that the server answers to. Raises EnvironmentProblem."""
        body = bytearray()
        try:
            async with asyncio.timeout(10):
                status = await self._exchange("GET", "/models", b"", body, lambda: None)
            if status == 200:
                return [model["id"] for model in json.loads(body)["data"]]
            found = f"HTTP {status}: {error_message(body)}"
        except (OSError, *BAD_REPLY) as error:
            found = f"{type(error).__name__}: {error}"
        raise EnvironmentProblem(
            f"{self.url} does not list its models ({found})\n"
            "  is the server up? start one with: inferd serve MODEL"
        )

    async def _stream(self, job: Job, outcome: Outcome) -> None:
        body = bytearray()
        payload = json.dumps(self._request(job)).encode()
        status = await self._exchange(
            "POST",
            "/completions",
            payload,
            body,
            lambda: outcome.take_events(body, time.perf_counter()),
        )
        if status not in (0, 200):  # 0: closed without a reply
            outcome.error = f"HTTP {status}: {error_message(body)}"

    def _request(self, job: Job) -> dict[str, Any]:
        return {
            "model": self.model,
            "prompt": job.prompt_ids,
            "max_tokens": job.output_len,
            "temperature": 0.0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    async def _exchange(
        self, method: str, path: str, payload: bytes, body: bytearray, on_data: Callable[[], None]
    ) -> int:
        """Send, and fill `body`; `on_data` after each piece of a reply with status 200."""
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._ssl)
        reply = _Reply(body)
        parser = httptools.HttpResponseParser(reply)
        try:
            writer.write(self._head(method, path, len(payload)) + payload)
            while not reply.complete and (data := await reader.read(READ_BYTES)):
                parser.feed_data(data)
                if parser.get_status_code() == 200:
                    on_data()
        finally:
            writer.close()
        status: int = parser.get_status_code()
        return status

    def _head(self, method: str, path: str, length: int) -> bytes:
        lines = [f"{method} {self._path}{path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self._headers.items()]
        if length:
            lines += ["Content-Type: application/json", f"Content-Length: {length}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


class _Reply:
    """httptools' callbacks."""

    def __init__(self, body: bytearray) -> None:
        self._body = body
        self.complete = False

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        self.complete = True
