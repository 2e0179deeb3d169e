"""A server of scripted tokens, its clients, and what the front-end process takes for them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from inferd.cli.bench.server import OwnServer
from inferd.testing.tiny_tokenizer import write_tokenizer

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = 50  # different ones: a stream that gets another's tokens is seen
TICKS = os.sysconf("SC_CLK_TCK")


def script_text(number: int, tokens: int) -> str:
    """What a sequence of that script says, a character a token."""
    text = "".join(f"{number:02}.{word:03} " for word in range(tokens // 7 + 1))
    return text[:tokens]


class Front:
    """The server, as the measurement sees it."""

    def __init__(self, server: OwnServer) -> None:
        self.ready = server.ready
        self.port = urlsplit(server.ready["url"]).port or 0
        self.model = server.ready["models"][0]
        self._pid = server.process.pid

    def cpu_s(self) -> float:
        """Processor seconds of the front-end process so far."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def pss_kb(self) -> int:
        """Memory of the front-end process, shared pages counted in parts."""
        for line in Path(f"/proc/{self._pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
        raise LookupError("no Pss in smaps_rollup")


@contextlib.contextmanager
def serving(tokens: int, *flags: str) -> Iterator[Front]:
    """`tokens` is how many a script has at least before it begins anew."""
    with tempfile.TemporaryDirectory(prefix="bench-front-") as name:
        folder = Path(name) / "model"
        folder.mkdir()
        write_tokenizer(folder)
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        ids = tokenizer["model"]["vocab"]
        space = "\u0120"  # how the byte-level alphabet writes it
        texts = [script_text(number, tokens).replace(" ", space) for number in range(SCRIPTS)]
        script = folder / "script.json"
        script.write_text(json.dumps([[ids[character] for character in text] for text in texts]))
        fixed = ["--executor", "scripted", "--models_scripted.script", str(script)]
        with OwnServer(str(folder), [*fixed, *flags]) as server:
            yield Front(server)


class Process:
    """A child of the measurement that answers a JSON line with a JSON line."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Process:
        return self

    def ask(self, **command: Any) -> dict[str, Any]:
        """Raises RuntimeError when the child has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the client ended, exit code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)
