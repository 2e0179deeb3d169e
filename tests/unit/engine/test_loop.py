"""EngineLoop over a real socket and a worker without a model."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zmq
from fakes import HashExecutor, fake_host

from inferd.config.engine import EngineConfig
from inferd.engine import loop as module
from inferd.engine import messages as m
from inferd.engine import process
from inferd.engine.engine import Engine
from inferd.engine.loop import EngineLoop
from inferd.errors import UsageError
from inferd.params import SamplingParams
from inferd.types import Request, StepResult


class Slow(HashExecutor):
    """Time passes in a step; the tenth may be made to fail."""

    fails = False

    def collect(self) -> StepResult:
        time.sleep(0.002)
        if self.fails and self.submitted[-1] > 10:
            raise RuntimeError("the device fell off")
        return super().collect()


class Peer:
    """A front end by hand."""

    def __init__(self, context: zmq.Context[Any], address: str, name: bytes) -> None:
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, name)
        self._socket.connect(address)

    def say(self, *messages: m.ToEngine) -> None:
        for message in messages:
            self._socket.send(m.encode(message))

    def hear(self, kind: type[Any], state: bool = False) -> Any:
        """The next message of a kind; others are skipped, and those that tell the state alone."""
        while self._socket.poll(5000):
            message = m.decode_to_front_end(self._socket.recv())
            if isinstance(message, kind) and state == (getattr(message, "outputs", None) == []):
                return message
        raise AssertionError(f"no {kind.__name__} within five seconds")

    def greet(self) -> None:
        self.say(m.Hello())
        self.hear(m.Ready)


class Running:
    """An engine whose loop runs in a thread, and its front ends."""

    def __init__(self, address: str, executor: type[HashExecutor]) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.bind(address)
        self.engine = Engine(EngineConfig.of("none"), fake_host(executor))
        self.loop = EngineLoop(self.engine, self.engine.start(), self.socket, os.getppid())
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()
        self.one, self.other = (Peer(self.context, address, name) for name in (b"one", b"other"))
        self.one.greet()
        self.other.greet()

    def close(self) -> None:
        self.one.say(m.Stop())
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.context.destroy(linger=0)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(f"ipc://{tmp_path}/socket", Slow)
    yield made
    made.close()


def add(name: str, **params: Any) -> m.Add:
    merged = {"max_tokens": 400, "ignore_eos": True} | params
    sampling = SamplingParams(**merged)
    return m.Add(Request(request_id=name, prompt_ids=[1, 2, 3], params=sampling, seed=0))


def test_outputs_go_to_who_asked(running: Running) -> None:
    running.one.say(add("a", max_tokens=3))
    running.other.say(add("b", max_tokens=3))
    for peer, name in ((running.one, "a"), (running.other, "b")):
        outputs = [output for _ in range(3) for output in peer.hear(m.Outputs).outputs]
        assert [output.request_id for output in outputs] == [name] * 3
        assert outputs[-1].finish_reason == "length"


def test_a_front_end_without_outputs_hears_of_the_state(running: Running) -> None:
    running.one.say(add("a", max_tokens=3))
    while (stats := running.other.hear(m.Outputs, state=True).stats).num_tokens == 0:
        continue
    assert stats.num_blocks == 63


def test_a_silent_front_end_loses_its_requests(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`other` keeps beating and keeps its request."""
    running.one.say(add("a"))
    running.other.say(add("b"))
    running.one.hear(m.Outputs)
    monkeypatch.setattr(module, "IDLE_MS", 20)
    running.loop._next_check = 0.0
    deadline = time.monotonic() + 5
    while "a" in running.loop._owners and time.monotonic() < deadline:
        running.other.say(m.Beat())
        running.other.hear(m.Outputs)
    assert "b" in running.loop._owners
    assert "a" not in running.loop._owners
    assert running.one.hear(m.Refused).request_id == "a"
    assert running.other.hear(m.Outputs).stats.num_running == 1


def test_a_watched_front_end_that_is_silent_is_killed(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, after so many looks, whatever the clock says; the engine sees then that its parent is
    gone.
    """
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(module.os, "kill", lambda *call: killed.append(call))
    loop = running.loop
    loop._next_check = math.inf  # it does not look by itself
    loop._watched = b"one"
    loop._missed[b"one"] = 0
    for _ in range(module.MOST_MISSED):
        loop._look()
    running.one.say(m.Beat())
    running.one.say(m.Hello())
    running.one.hear(m.Ready)
    for _ in range(module.MOST_MISSED):
        loop._look()
    assert not killed
    for _ in range(3):
        loop._look()
    assert killed == [(os.getppid(), signal.SIGKILL)]


def test_the_last_abort_is_told_at_once(running: Running) -> None:
    """Without a look at the front ends, which are a second apart, and long before 400 steps."""
    running.loop._next_check = math.inf
    running.one.say(add("a"), add("b"))
    while running.one.hear(m.Outputs).stats.num_running < 2:
        continue
    running.one.say(m.Abort("a"), m.Abort("b"))
    stats = running.one.hear(m.Outputs, state=True).stats
    assert (stats.num_running, stats.num_blocks_used) == (0, 0)
    assert 0 < stats.num_tokens < 200


class Recorded:
    """An engine that always has work, and ends its loop with the first step."""

    has_work = True

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.ends: Callable[[], None]

    def abort(self, request_id: str, index: int | None) -> int:
        self.calls.append(request_id)
        return 1

    def step(self) -> list[Any]:
        self.calls.append("step")
        self.ends()
        return []


def test_aborts_reach_the_engine_before_its_next_step(running: Running, tmp_path: Path) -> None:
    """However many wait, and whoever else is served."""
    engine, address = Recorded(), f"ipc://{tmp_path}/recorded"
    socket = running.context.socket(zmq.ROUTER)
    socket.bind(address)
    info = running.engine._executor.start()
    loop = EngineLoop(engine, info, socket, os.getppid())  # type: ignore[arg-type]
    loop._next_check, engine.ends = math.inf, loop._stop
    names = [f"r{number}" for number in range(100)]
    for name in names:
        loop._owners[name], loop._unfinished[name] = b"three", 1
    aborts = [m.encode(m.Abort(name)) for name in names]
    with running.context.socket(zmq.DEALER) as peer:
        peer.setsockopt(zmq.IDENTITY, b"three")
        peer.connect(address)
        peer.send_multipart(aborts)
        assert socket.poll(5000)
        loop.run()
    socket.close()
    assert engine.calls == [*names, "step"]
    assert not loop._owners


def test_bye_aborts_at_once(running: Running) -> None:
    running.one.say(add("a"), m.Bye())
    running.other.say(add("b", max_tokens=8))
    outputs = [running.other.hear(m.Outputs) for _ in range(8)]
    assert outputs[-1].stats.num_blocks_used == 0
    assert running.loop.front_ends == [b"other"]


def test_bye_for_another_aborts_what_that_one_had(running: Running) -> None:
    running.one.say(add("a"))
    running.one.hear(m.Outputs)
    running.other.say(m.Bye("one"), add("b", max_tokens=8))
    outputs = [running.other.hear(m.Outputs) for _ in range(8)]
    assert outputs[-1].stats.num_blocks_used == 0
    assert running.loop.front_ends == [b"other"]


def test_one_sample_or_all_may_be_aborted(running: Running) -> None:
    running.one.say(add("a", n=2))
    seen: set[int] = set()
    while seen != {0, 1}:
        seen = {output.index for output in running.one.hear(m.Outputs).outputs}
    running.one.say(m.Abort("a", 0))
    while seen != {1}:
        seen = {output.index for output in running.one.hear(m.Outputs).outputs}
    running.one.say(m.Abort("a"), m.Abort("a"), m.Abort("unknown"), add("b", max_tokens=4))
    while running.engine.stats().num_running or running.loop._owners:
        assert running.one.hear(m.Outputs)
    assert running.engine.stats().num_blocks_used == 0


def test_a_request_that_cannot_run_is_refused(running: Running) -> None:
    running.one.say(add("a"), add("a"))
    refused = running.one.hear(m.Refused)
    assert (refused.request_id, "already running" in refused.message) == ("a", True)
    assert running.one.hear(m.Outputs).outputs[0].request_id == "a"


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"\xc1"],
        [b"\x91\xa5Hello", b"\x91"],
        [b"\x91\xa7Unknown"],
        [b"\x92\xa5Abort\x01"],
        [b"\x92\xa5Abort\xa2\xff\xff"],
        [m.encode(add("x")).replace(b"ignore_eos", b"ignore_eso")],
        [m.encode(add("x", min_tokens=77)).replace(b"min_tokens\x4d", b"min_tokens\xff")],
        [b"\x91" * 100_000],
    ],
    ids=range(9),
)
def test_what_is_no_message_is_dropped(running: Running, frames: list[bytes], capfd: Any) -> None:
    running.one._socket.send_multipart(frames)
    running.one.say(add("a", max_tokens=1))
    assert running.one.hear(m.Outputs).outputs[0].request_id == "a"
    assert "dropped a malformed message" in capfd.readouterr().err


class Serving:
    """`process.serve` in a thread, and two front ends."""

    def __init__(self, tmp_path: Path, context: zmq.Context[Any]) -> None:
        self._socket = context.socket(zmq.ROUTER)
        address = f"ipc://{tmp_path}/socket"
        self._socket.bind(address)
        self._codes: list[int] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        self.peers = [Peer(context, address, name) for name in (b"one", b"other")]

    def _serve(self) -> None:
        self._codes.append(process.serve(EngineConfig.of("none"), self._socket, os.getppid()))

    @property
    def code(self) -> int:
        self._thread.join(10)
        return self._codes[0]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`serve(executor)`"""
    context = zmq.Context()
    made: list[Serving] = []  # sockets live until their context ends

    def make(executor: type[HashExecutor]) -> Serving:
        host = SimpleNamespace(of=lambda _: fake_host(executor))
        monkeypatch.setattr(process, "Host", host)
        made.append(Serving(tmp_path, context))
        return made[-1]

    yield make
    context.destroy(linger=0)


def test_a_step_that_fails_is_told_to_every_front_end(serve: Any, capfd: Any) -> None:
    class Failing(Slow):
        fails = True

    serving = serve(Failing)
    for peer in serving.peers:
        peer.greet()
    serving.peers[0].say(add("a"))
    for peer in serving.peers:
        failed = peer.hear(m.Failed)
        assert (failed.kind, failed.message) == ("EngineDead", "RuntimeError: the device fell off")
    assert serving.code == 3
    assert "the device fell off" in capfd.readouterr().err


def test_a_start_that_fails_is_told_to_who_says_hello(serve: Any) -> None:
    class Unloadable(Slow):
        def start(self) -> Any:
            raise UsageError("no such model")

    serving = serve(Unloadable)
    serving.peers[1].say(m.Hello())
    failed = serving.peers[1].hear(m.Failed)
    assert (failed.kind, failed.message) == ("UsageError", "no such model")
    assert serving.code == 2
