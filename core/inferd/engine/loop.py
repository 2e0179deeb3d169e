"""EngineLoop: steps, and between them the messages of the front ends."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable

import msgspec
import zmq

from inferd.contracts.executor import WorkerInfo
from inferd.engine import messages as m
from inferd.engine.engine import Engine
from inferd.engine.kv_events import KvEvents
from inferd.errors import InferdError, RequestError
from inferd.types import Request, SequenceOutput

IDLE_MS = 1000  # how often an idle engine looks whether its parent still lives
MOST_MISSED = 15  # looks, a second apart, that find nothing of a front end


class EngineLoop:
    """Receives messages between steps and sends one message per step and front end."""

    def __init__(
        self,
        engine: Engine,
        info: WorkerInfo,
        socket: zmq.Socket[bytes],
        parent: int,
        kv_events: KvEvents | None = None,
    ) -> None:
        self._engine = engine
        self._ready = m.encode(m.Ready.of(info))
        self._socket = socket
        self._parent = parent
        self._kv_events = kv_events
        self._owners: dict[str, bytes] = {}  # request id -> identity of its front end
        self._unfinished: dict[str, int] = {}  # request id -> samples that have not finished
        self._missed: dict[bytes, int] = {}  # looks since a front end was heard of
        self._watched: bytes | None = None  # whose process is the parent, and not to hang
        self._next_check = 0.0
        self._running = True
        self._handlers: dict[type[m.Message], Callable[[bytes, m.Message], object]] = {
            m.Hello: self._hello,
            m.Add: self._add,
            m.Abort: self._abort,
            m.Beat: lambda *_: None,
            m.Bye: self._leave,
            m.ResetPrefixCache: lambda *_: self._engine.reset_prefix_cache(),
            m.Stop: self._stop,
        }

    @property
    def front_ends(self) -> list[bytes]:
        """Identities of those that were heard of lately."""
        return list(self._missed)

    def run(self) -> None:
        while self._running:
            had_work = self._engine.has_work
            self._receive(0 if had_work else IDLE_MS)
            self._check_peers()
            outputs = self._engine.step()
            if outputs:
                self._send(outputs)
            elif had_work and not self._engine.has_work:
                self._tell_stats()
            if self._kv_events is not None and (events := self._engine.cache_events()):
                self._kv_events.publish(events)

    def _receive(self, timeout_ms: int) -> None:
        while self._running and self._socket.poll(timeout_ms):
            identity, *frames = self._socket.recv_multipart()
            for message in filter(None, map(_decode, frames)):
                self._missed[identity] = 0
                self._handlers[type(message)](identity, message)
            timeout_ms = 0

    def _hello(self, identity: bytes, message: m.Message) -> None:
        if message.watched:  # type: ignore[attr-defined]
            self._watched = identity
        self._socket.send_multipart([identity, self._ready])

    def _add(self, identity: bytes, message: m.Message) -> None:
        request: Request = message.request  # type: ignore[attr-defined]
        try:
            self._engine.add(request)
        except RequestError as error:
            refused = m.Refused(request.request_id, str(error), error.param, error.code)
            self._socket.send_multipart([identity, m.encode(refused)])
            return
        self._owners[request.request_id] = identity
        self._unfinished[request.request_id] = request.params.n

    def _abort(self, _: bytes, message: m.Message) -> None:
        request_id: str = message.request_id  # type: ignore[attr-defined]
        index: int | None = message.index  # type: ignore[attr-defined]
        if request_id not in self._owners:
            return
        ended = self._engine.abort(request_id, index)
        self._count_finished(request_id, ended)

    def _leave(self, identity: bytes, message: m.Message) -> None:
        other: str = message.name  # type: ignore[attr-defined]
        self._bye(other.encode() or identity)

    def _bye(self, identity: bytes) -> list[str]:
        """Forget a front end; returns the requests that this aborted."""
        self._missed.pop(identity, None)
        aborted = [name for name, owner in self._owners.items() if owner == identity]
        for request_id in aborted:
            self._abort(identity, m.Abort(request_id))
        return aborted

    def _stop(self, *_: object) -> None:
        self._running = False

    def _count_finished(self, request_id: str, samples: int) -> None:
        self._unfinished[request_id] -= samples
        if self._unfinished[request_id] <= 0:
            del self._unfinished[request_id], self._owners[request_id]

    def _send(self, outputs: list[SequenceOutput]) -> None:
        batches: dict[bytes, list[SequenceOutput]] = defaultdict(list)
        for output in outputs:
            identity = self._owners.get(output.request_id)
            if identity is None:
                continue
            batches[identity].append(output)
            if output.finish_reason is not None:
                self._count_finished(output.request_id, 1)
        stats = self._engine.stats()
        for identity, batch in batches.items():
            self._socket.send_multipart([identity, m.encode(m.Outputs(batch, stats))])

    def _check_peers(self) -> None:
        """Once a second: the parent's life, the heartbeat of every front end, and news for it."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + IDLE_MS / 1000
        if os.getppid() != self._parent:
            self._running = False
        self._look()
        self._tell_stats()

    def _look(self) -> None:
        """Looks are counted, no clock is read: after a pause of this process, or of all of them,
        nobody is taken for silent.
        """
        for identity in self.front_ends:
            self._missed[identity] += 1
            if self._missed[identity] <= MOST_MISSED:
                continue
            if identity == self._watched:
                self._watched = None
                print("inferd engine: the server hangs and is killed", file=sys.stderr)
                os.kill(self._parent, signal.SIGKILL)
            self._drop_front_end(identity)

    def _tell_stats(self) -> None:
        """What changes without outputs, as the last abort does, or with another front end's."""
        news = m.encode(m.Outputs([], self._engine.stats()))
        for identity in self._missed:
            self._socket.send_multipart([identity, news])

    def _drop_front_end(self, identity: bytes) -> None:
        """Should it wake up, it learns that its streams are gone."""
        for request_id in self._bye(identity):
            text = "the request was dropped because its front end did not answer for a while"
            lost = m.Refused(request_id, text, None, "server_error")
            self._socket.send_multipart([identity, m.encode(lost)])


def _decode(frame: bytes) -> m.ToEngine | None:
    """None, and a line on standard error, for what is not a message."""
    try:
        message: m.ToEngine = m.decode_to_engine(frame)
    except (ValueError, RecursionError, msgspec.MsgspecError, InferdError) as error:
        print(f"inferd engine: dropped a malformed message: {error}", file=sys.stderr)
        return None
    return message
