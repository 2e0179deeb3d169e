"""`inferd run` and `inferd chat`: piped, on a terminal, and with Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_model
from served import COMMAND

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm"}
DUMMY = ["--load-format", "dummy", "--dtype", "float32", "--num-blocks", "4096"]


def finished(*words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    stdin: dict[str, Any] = {"stdin": subprocess.DEVNULL} if given is None else {"input": given}
    return subprocess.run(
        [*COMMAND, *words],
        check=False,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=120,
        env=ENVIRONMENT,
        **stdin,
    )


class Terminal:
    """A command on a pseudo terminal."""

    def __init__(self, *words: str) -> None:
        self._main, side = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            stdin=side,
            stdout=side,
            stderr=side,
            env=ENVIRONMENT,
            start_new_session=True,
        )
        os.close(side)
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._main, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C, as it reaches the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def until(self, text: str, timeout: float = 60) -> str:
        """What is shown up to `text`, which is waited for."""
        assert self.shows(text, timeout), f"never showed {text!r}: {self.shown!r}"
        before, _, self.shown = self.shown.partition(text)
        return before

    def shows(self, text: str, timeout: float) -> bool:
        end = time.monotonic() + timeout
        with contextlib.suppress(OSError):  # the command has ended
            while text not in self.shown and (left := end - time.monotonic()) > 0:
                if select.select([self._main], [], [], left)[0]:
                    self.shown += os.read(self._main, 4096).decode(errors="replace")
        return text in self.shown

    def drop_the_line(self) -> None:
        """Ctrl-C at the prompt, again if it came while readline was still echoing: that one is
        only seen with the next key (CPython looks for signals before it waits, not after)."""
        for _ in range(30):
            self.interrupt()
            if self.shows("\r\n> ", 1):
                break
        self.until("\r\n> ")

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        os.close(self._main)

    def is_gone(self) -> bool:
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False


@contextlib.contextmanager
def terminal(*words: str) -> Iterator[Terminal]:
    opened = Terminal(*words)
    try:
        yield opened
    finally:
        opened.close()


def test_a_piped_prompt_is_answered_plainly_or_as_json(tiny: Path) -> None:
    words = ["run", str(tiny), *DUMMY, "--max-tokens", "8", "--seed", "3"]
    plain = finished(*words, given="hello\n")
    assert plain.returncode == 0, plain.stderr
    assert plain.stderr == ""
    report = json.loads(finished(*words, "--json", given="hello\n").stdout)
    assert report["text"] + "\n" == plain.stdout
    assert report["completion_tokens"] <= 8
    assert report["prompt_tokens"] == len("<user>hello\n<assistant>")
    assert report["finish_reason"] in ("length", "stop")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["hi", "--temperature", "9"], "temperature must be a number from 0 to 2"),
        (["hi", "--temperature", "warm"], "--temperature"),
        (["hi", "--max-tokens", "0"], "max_tokens must be"),
        ([], "the prompt is empty"),
        (["hi", "--sed", "3"], "did you mean --seed?"),
    ],
)
def test_what_is_wrong_is_said_before_loading(tiny: Path, words: list[str], text: str) -> None:
    ended = finished("run", str(tiny), *words)
    assert ended.returncode == 2
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A model whose answers have no end: its end token is none that it can sample."""
    folder = tiny_model.write(tmp_path / "endless")
    end = {"eos_token_id": tiny_model.CONFIG["vocab_size"]}
    (folder / "generation_config.json").write_text(json.dumps(end))
    return folder


def test_chat_on_a_terminal(endless: Path) -> None:
    with terminal("chat", str(endless), *DUMMY, "--max-tokens", "60000") as chat:
        chat.until("/reset starts over")
        chat.until("> ")
        chat.type("hello\n")
        chat.until("hello")
        time.sleep(0.2)  # it writes meanwhile, and would end after some seconds
        chat.interrupt()
        chat.until("(stopped)")
        chat.until("> ")
        chat.type("half a line")
        chat.until("half a line")
        chat.drop_the_line()
        chat.type("/help\n")
        chat.until("/reset starts over")
        chat.until("> ")
        chat.type("/quit\n")
        assert chat.process.wait(20) == 0
        assert chat.is_gone()


def test_ctrl_c_ends_run(endless: Path) -> None:
    with terminal("run", str(endless), "hello", *DUMMY, "--max-tokens", "20000") as run:
        run.until("loading")
        run.interrupt()
        assert run.process.wait(20) == 130
        assert run.is_gone()
