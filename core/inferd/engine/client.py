"""EngineClient: a front end's end of the socket, and the engine process when it owns one."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import zmq
import zmq.asyncio

import inferd.errors
from inferd.config.engine import EngineConfig
from inferd.contracts.executor import WorkerInfo
from inferd.engine import messages as m
from inferd.errors import EngineDead, EnvironmentProblem, InferdError

BEAT_S = 1.0
LINGER_MS = 200  # for what a front end that leaves has still to say


def new_name() -> str:
    return f"f{secrets.token_hex(6)}"


class EngineClient:
    """Spawns the engine process, or joins the one at `address` as another front end.

    Never imports torch. One asyncio loop owns it. No two have the same `name`: the engine answers
    by it. `watched` has the engine process kill this one when its loop no longer turns.
    """

    def __init__(
        self,
        config: EngineConfig,
        address: str | None = None,
        name: str | None = None,
        *,
        watched: bool = False,
    ) -> None:
        self._config, self._watched = config, watched
        self._folder: Path | None = None
        if address is None:
            self._folder = _private_folder()
            address = f"ipc://{self._folder}/engine.sock"
        self.address = address
        self.name = name or new_name()
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, self.name.encode())
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._leaving: list[bytes] = []
        self._process: asyncio.subprocess.Process | None = None
        self._beat: asyncio.Task[None] | None = None

    async def start(self) -> WorkerInfo:
        """Wait until the model is loaded; raises what the engine process reports."""
        if self._folder is not None:
            await self._spawn()
        self._socket.connect(self.address)
        self.send(m.Hello(self._watched))
        reply = await self._first_reply()
        if isinstance(reply, m.Failed):
            await self.stop(2.0)
            raise error_of(reply)
        assert isinstance(reply, m.Ready)
        self._beat = asyncio.create_task(self._keep_beating())
        return reply.info()

    async def _spawn(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "inferd.engine.process",
            self.address,
            stdin=asyncio.subprocess.PIPE,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(self._config.model_dump_json(exclude_unset=True).encode())
        self._process.stdin.close()

    async def _first_reply(self) -> m.ToFrontEnd:
        reply = asyncio.ensure_future(self._socket.recv())
        death = asyncio.ensure_future(self.wait_dead())
        try:
            await asyncio.wait({reply, death}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            death.cancel()
            reply.cancel()
        if reply.cancelled():
            raise await self._ended_while_starting()
        answer: m.ToFrontEnd = m.decode_to_front_end(reply.result())
        return answer

    async def _ended_while_starting(self) -> EngineDead:
        code = self._process.returncode if self._process else None
        await self.stop(0)
        return EngineDead(
            f"the engine process ended while starting, exit code {code}; see its output above"
        )

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            self.send(m.Beat())

    def send(self, message: m.ToEngine) -> None:
        """It leaves with what else is sent in this turn of the loop: waking ZMQ's thread costs as
        much as a fifth of a request, and a crowd's requests begin together.
        """
        if not self._leaving:
            asyncio.get_running_loop().call_soon(self._flush)
        self._leaving.append(m.encode(message))

    def _flush(self) -> None:
        if self._leaving and not self._socket.closed:
            self._socket.send_multipart(self._leaving)
        self._leaving = []

    async def receive(self) -> AsyncIterator[m.ToFrontEnd]:
        """Messages as they come, until the caller stops listening."""
        while True:
            yield m.decode_to_front_end(await self._socket.recv())

    @property
    def alive(self) -> bool:
        """Whether the engine process that this client started runs."""
        return self._process is not None and self._process.returncode is None

    async def wait_dead(self) -> None:
        """Returns when the engine process has ended, or closed its socket on one that joined it."""
        if self._process is None:
            await self._monitor.recv_multipart()
        else:
            await self._process.wait()

    async def stop(self, timeout: float) -> None:
        """End the engine process this client started; after `timeout` seconds by force.

        One that joined takes its leave; its requests are aborted.
        """
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        if self._folder is None and not self._socket.closed:
            self.send(m.Bye())
            self._flush()
        if self._process is not None and self._process.returncode is None:
            await self._end_process(self._process, timeout)
        self._context.destroy(linger=LINGER_MS if self._folder is None else 0)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _end_process(self, process: asyncio.subprocess.Process, timeout: float) -> None:
        self.send(m.Stop())
        try:
            await asyncio.wait_for(process.wait(), timeout)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _private_folder() -> Path:
    """For the socket. Raises EnvironmentProblem where no temporary folder can be made."""
    try:
        return Path(tempfile.mkdtemp(prefix=m.FOLDER_PREFIX))  # mode 0700
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot make a temporary folder: {error.strerror}; make room, or set TMPDIR to another"
        ) from None


def error_of(failed: m.Failed) -> InferdError:
    """What the engine process, or another front end, would have raised here."""
    kind = getattr(inferd.errors, failed.kind, EngineDead)
    if not (isinstance(kind, type) and issubclass(kind, InferdError)):
        kind = EngineDead
    error: InferdError = kind.__new__(kind)
    Exception.__init__(error, failed.message)
    return error
