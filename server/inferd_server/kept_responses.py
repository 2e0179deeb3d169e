"""KeptResponses: responses by their ids, whichever front end keeps them.

An id says which front end it is of, and has a mark of the key that it was made with: with another
key there is no such response. What is kept elsewhere is asked for over that one's socket: a
connection for each question in msgpack, answered by JSON or by a Problem. Events are asked for
piece by piece, so that nobody has to be told when a client has left.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Literal

import msgspec

from inferd_server.caller import CALLER
from inferd_server.errors import ApiError, Problem, problem_of
from inferd_server.event_log import Told
from inferd_server.response_store import ResponseStore
from inferd_server.seat import Seat

ANSWER_S = 5.0
PREFIX = "resp_"
MARK_CHARS = 8
Verb = Literal["get", "conversation", "turns", "delete", "cancel", "events"]


class Question(msgspec.Struct, array_like=True):
    """What is asked of a response; of its events those from number `since` on."""

    verb: Verb
    response_id: str
    since: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode_question = msgspec.msgpack.Decoder(Question).decode
_decode_answer = msgspec.msgpack.Decoder(bytes | Problem).decode
_decode_told = msgspec.msgpack.Decoder(Told).decode


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

    async def events(self, response_id: str, since: int) -> AsyncGenerator[bytes, None]:
        """Those from that number on, to its end; RequestError (400) where they are not kept."""
        is_last = False
        while not is_last:
            told = _decode_told(await self._ask("events", response_id, since))
            since, is_last = told.next, told.is_last
            if told.events:
                yield told.events

    async def _ask(self, verb: Verb, response_id: str, since: int = 0) -> bytes:
        question = Question(verb, response_id, since)
        name, mark = response_id[:-MARK_CHARS], response_id[-MARK_CHARS:]
        if not hmac.compare_digest(mark.encode(), _mark(name).encode()):
            question.response_id = name  # which is nobody's
            return await self._own(question)
        owner = self._owner(response_id)
        if owner != self._seat.number:
            with contextlib.suppress(OSError):  # it is gone, and what it kept
                return await self._ask_another(owner, question)
        return await self._own(question)

    def _owner(self, response_id: str) -> int:
        """This front end for an id that is none of ours."""
        try:
            number = int(response_id.removeprefix(PREFIX)[:2], 16)
        except ValueError:
            return self._seat.number
        return number if 0 <= number < self._seat.count else self._seat.number

    async def _own(self, question: Question) -> bytes:
        if question.verb == "events":
            return _encode(await self._store.log(question.response_id).since(question.since))
        work: Callable[[str], bytes] = getattr(self._store, question.verb)
        return work(question.response_id)

    async def _ask_another(self, owner: int, question: Question) -> bytes:
        """Raises ApiError; OSError when it is not there."""
        async with asyncio.timeout(ANSWER_S):  # TimeoutError is an OSError
            reader, writer = await asyncio.open_unix_connection(self._seat.socket(owner))
            try:
                writer.write(_encode(question))
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
            answer = await self._own(_decode_question(await reader.read()))
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
