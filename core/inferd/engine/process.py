"""The engine process: the step loop behind a ZMQ socket.

Started as `python -m inferd.engine.process ADDRESS`, the configuration as JSON on standard input.
It ends on Stop, or when its parent is gone. Signals are the front end's business: a Ctrl-C reaches
the whole process group, and running streams must finish first.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path

import zmq

from inferd.config.engine import EngineConfig
from inferd.engine import messages as m
from inferd.engine.engine import Engine
from inferd.engine.kv_events import KvEvents
from inferd.engine.loop import EngineLoop
from inferd.errors import InferdError
from inferd.host.host import Host


def _fail(socket: zmq.Socket[bytes], error: Exception, front_ends: list[bytes]) -> int:
    """Tell the front ends, those too that have said Hello meanwhile, why there is none.

    Where there is none yet, the first that comes within ten seconds.
    """
    kind = type(error).__name__ if isinstance(error, InferdError) else "EngineDead"
    text = str(error) if isinstance(error, InferdError) else f"{type(error).__name__}: {error}"
    payload = m.encode(m.Failed(kind, text))
    told = set(front_ends)
    while socket.poll(0 if told else 10_000):
        told.add(socket.recv_multipart()[0])
    for identity in told:
        socket.send_multipart([identity, payload])
    return error.exit_code if isinstance(error, InferdError) else 3


def main(address: str) -> int:
    parent = os.getppid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    config = EngineConfig.model_validate_json(sys.stdin.buffer.read())
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.SNDHWM, 0)  # bounded by the front ends, which abort slow readers
    socket.setsockopt(zmq.LINGER, 2000)
    socket.bind(address)
    try:
        return serve(config, socket, parent)
    finally:
        context.destroy()
        if os.getppid() != parent:
            _clear(address)


def _clear(address: str) -> None:
    """The front end that made the socket's folder is gone and can no longer remove it."""
    path = Path(address.removeprefix("ipc://"))
    path.unlink(missing_ok=True)
    if path.parent.name.startswith(m.FOLDER_PREFIX):
        path.parent.rmdir()


def serve(config: EngineConfig, socket: zmq.Socket[bytes], parent: int) -> int:
    """Load the model and run until Stop; returns the exit code."""
    engine: Engine | None = None
    loop: EngineLoop | None = None
    kv_events: KvEvents | None = None
    try:
        if config.cache.kv_events is not None:
            kv_events = KvEvents(config.cache.kv_events, config.cache.kv_events_topic)
        engine = Engine(config, Host.of(config.plugins))
        loop = EngineLoop(engine, engine.start(), socket, parent, kv_events)
        loop.run()
        return 0
    except Exception as error:
        if not isinstance(error, InferdError):
            traceback.print_exc()
        return _fail(socket, error, loop.front_ends if loop else [])
    finally:
        if engine is not None:
            engine.stop()
        if kv_events is not None:
            kv_events.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
