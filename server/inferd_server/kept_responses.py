"""KeptResponses: responses by their ids, whichever front end keeps them.

An id says which front end it is of, and has a mark of the key that it was made with: with another
key there is no such response. What is kept elsewhere is asked for over that one's socket: a
connection for each question, (what, id) in msgpack, answered by JSON or by a Problem.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import msgspec

from inferd_server.caller import CALLER
from inferd_server.errors import ApiError, Problem, problem_of
from inferd_server.response_store import ResponseStore
from inferd_server.seat import Seat

ANSWER_S = 5.0
PREFIX = "resp_"
MARK_CHARS = 8
Verb = Literal["get", "conversation", "turns", "delete", "cancel"]
_encode = msgspec.msgpack.Encoder().encode
_decode_question = msgspec.msgpack.Decoder(tuple[Verb, str]).decode
_decode_answer = msgspec.msgpack.Decoder(bytes | Problem).decode


class KeptResponses:
    """One per front end; `store` holds its own."""

    def __init__(self, store: ResponseStore, seat: Seat) -> None:
        self._store = store
        self._seat = seat

    def new_id(self) -> str:
        """Which front end it is of, 88 random bits, and the mark of the caller's key."""
        name = f"{PREFIX}{self._seat.number:02x}{secrets.token_hex(11)}"
        return name + _mark(name)

    async def get(self, response_id: str) -> bytes:
        """The response as JSON. As all below, raises ApiError (404) for one that is not kept."""
        return await self._ask("get", response_id)

    async def conversation(self, response_id: str) -> list[dict[str, Any]]:
        """What a next response goes on from; ApiError (400) while it runs, or without it."""
        found: list[dict[str, Any]] = msgspec.json.decode(
            await self._ask("conversation", response_id)
        )
        return found

    async def turns(self, response_id: str) -> list[dict[str, Any]]:
        """The conversation up to its end."""
        found: list[dict[str, Any]] = msgspec.json.decode(await self._ask("turns", response_id))
        return found

    async def delete(self, response_id: str) -> None:
        """One that still runs ends."""
        await self._ask("delete", response_id)

    async def cancel(self, response_id: str) -> bytes:
        """End it, unless it has ended; the response as JSON."""
        return await self._ask("cancel", response_id)

    async def _ask(self, verb: Verb, response_id: str) -> bytes:
        name, mark = response_id[:-MARK_CHARS], response_id[-MARK_CHARS:]
        if not hmac.compare_digest(mark.encode(), _mark(name).encode()):
            return self._own(verb, name)  # which is nobody's
        owner = self._owner(response_id)
        if owner != self._seat.number:
            with contextlib.suppress(OSError):  # it is gone, and what it kept
                return await self._ask_another(owner, verb, response_id)
        return self._own(verb, response_id)

    def _owner(self, response_id: str) -> int:
        """This front end for an id that is none of ours."""
        try:
            number = int(response_id.removeprefix(PREFIX)[:2], 16)
        except ValueError:
            return self._seat.number
        return number if 0 <= number < self._seat.count else self._seat.number

    def _own(self, verb: Verb, response_id: str) -> bytes:
        work: Callable[[str], bytes] = getattr(self._store, verb)
        return work(response_id)

    async def _ask_another(self, owner: int, verb: Verb, response_id: str) -> bytes:
        """Raises ApiError; OSError when it is not there."""
        async with asyncio.timeout(ANSWER_S):  # TimeoutError is an OSError
            reader, writer = await asyncio.open_unix_connection(self._seat.socket(owner))
            try:
                writer.write(_encode((verb, response_id)))
                writer.write_eof()
                data = await reader.read()
            finally:
                writer.close()
        if not data:
            raise ConnectionResetError
        answer: bytes | Problem = _decode_answer(data)
        if isinstance(answer, Problem):
            raise ApiError(answer.status, answer.message, code=answer.code, param=answer.param)
        return answer

    @contextlib.asynccontextmanager
    async def answering_others(self) -> AsyncIterator[None]:
        """While the block runs."""
        path = self._seat.socket(self._seat.number)
        path.unlink(missing_ok=True)  # of one that had this number before and died
        server = await asyncio.start_unix_server(self._answer, path)
        try:
            yield
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer: bytes | Problem
        try:
            answer = self._own(*_decode_question(await reader.read()))
        except Exception as error:
            answer = problem_of(error)
        writer.write(_encode(answer))
        await writer.drain()
        writer.close()


def _mark(name: str) -> str:
    """Of the caller's key, whose digest no client knows, and different for every response."""
    key = CALLER.get().key
    digest = key.digest if key else b"without a key"
    return hmac.digest(digest, name.encode(), "sha256").hex()[:MARK_CHARS]
