"""The server that `inferd bench serve` starts for itself."""

from __future__ import annotations

import json
import signal

import pytest

from inferd.cli import main
from inferd.cli.bench.server import OwnServer
from inferd.errors import EnvironmentProblem
from inferd.testing.tiny import write_checkpoint

SMALL = ["--num-blocks", "64"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny"
    write_checkpoint(path, num_hidden_layers=1)
    return str(path)


def test_it_is_started_driven_and_stopped(tiny, capsys, monkeypatch):
    started = []
    enter = OwnServer.__enter__

    def note(self):
        started.append(self)
        return enter(self)

    monkeypatch.setattr(OwnServer, "__enter__", note)
    handler = signal.getsignal(signal.SIGTERM)
    words = ["--num-prompts", "3", "--input-len", "8", "--output-len", "5", "--vocab-size", "200"]
    assert main(["bench", "serve", "--model", tiny, *words, "--json", "--", *SMALL]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["completed"], values["failed"], values["output_tokens"]) == (3, 0, 15)
    assert values["kv_tokens"] <= 64 * 16  # the flags after -- arrived
    assert values["ready_s"] > 0
    assert [server.process.returncode for server in started] == [0]
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_server_that_cannot_start_is_told(tmp_path, capfd):
    with (
        pytest.raises(EnvironmentProblem, match="exit code 2 before it was ready"),
        OwnServer(str(tmp_path / "nothing"), []),
    ):
        pass
    assert "there is no model at" in capfd.readouterr().err


def test_a_terminated_benchmark_takes_its_server_along(tiny):
    with pytest.raises(SystemExit) as ending, OwnServer(tiny, SMALL) as server:
        signal.raise_signal(signal.SIGTERM)
    assert ending.value.code == 128 + signal.SIGTERM
    assert server.process.returncode == 0
