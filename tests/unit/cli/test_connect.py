"""inferd connect: what clients are told, and what is written where. HOME is a temporary folder."""

from __future__ import annotations

import json
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from inferd.cli import main
from inferd.cli.connect_clients import CLIENTS

CARDS = {"data": [{"id": "small", "max_model_len": 8192}, {"id": "org/small"}]}
PLACES = {
    "codex": ".codex/inferd.config.toml",
    "claude": ".claude/inferd.settings.json",
    "opencode": ".config/opencode/opencode.json",
    "continue": ".continue/config.yaml",
}


class Answers(BaseHTTPRequestHandler):
    """Of a server with the key `secret`."""

    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == "Bearer secret"
        body = json.dumps(CARDS if allowed else {}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def home(monkeypatch, tmp_path) -> Path:
    for name in ("CODEX_HOME", "CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("INFERD_API_KEY", "secret other")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("client", CLIENTS)
def test_it_prints_and_writes_only_when_told_to(home, capsys, url, client):
    assert main(["connect", client, "--url", url]) == 0
    printed = capsys.readouterr()
    assert list(home.iterdir()) == []
    assert "--write puts it there" in printed.err
    assert "secret" not in printed.out.replace("secrets.INFERD_API_KEY", "")
    assert main(["connect", client, "--url", f"{url}/v1/", "--write"]) == 0
    assert (home / PLACES[client]).read_text() == printed.out
    assert main(["connect", client, "--url", url, "--model", "org/small", "--write"]) == 0
    assert "org/small" in (home / PLACES[client]).read_text()


def test_what_each_client_reads(home, capsys, url):
    def told(client: str) -> str:
        assert main(["connect", client, "--url", url]) == 0
        return capsys.readouterr().out

    codex = tomllib.loads(told("codex"))
    assert (codex["model"], codex["model_context_window"]) == ("small", 8192)
    provider = codex["model_providers"][codex["model_provider"]]
    assert provider["base_url"] == f"{url}/v1"
    assert (provider["wire_api"], provider["env_key"]) == ("responses", "INFERD_API_KEY")
    claude = json.loads(told("claude"))
    assert claude["env"]["ANTHROPIC_BASE_URL"] == url
    assert {value for name, value in claude["env"].items() if "MODEL" in name} == {"small"}
    assert claude["apiKeyHelper"] == "printenv INFERD_API_KEY"
    opencode = json.loads(told("opencode"))["providers"]["inferd"]
    assert opencode["settings"]["baseURL"] == f"{url}/v1"
    assert list(opencode["models"]) == ["small"]
    (model,) = yaml.safe_load(told("continue"))["models"]
    assert (model["provider"], model["model"], model["apiBase"]) == ("openai", "small", f"{url}/v1")


def test_without_keys_clients_are_told_of_none(home, capsys, monkeypatch):
    monkeypatch.delenv("INFERD_API_KEY")
    for client in CLIENTS:
        assert main(["connect", client, "--url", "http://127.0.0.1:9", "--model", "m"]) == 0
        assert "INFERD_API_KEY" not in capsys.readouterr().out


def test_other_settings_stay(home, capsys, url):
    file = home / PLACES["opencode"]
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"theme": "dark", "providers": {"other": {"name": "Other"}}}))
    assert main(["connect", "opencode", "--url", url, "--write"]) == 0
    content = json.loads(file.read_text())
    assert content["theme"] == "dark"
    assert set(content["providers"]) == {"other", "inferd"}


@pytest.mark.parametrize(
    ("client", "content"), [("opencode", "{ // a comment\n}"), ("continue", "name: mine\n")]
)
def test_what_cannot_be_added_to_is_left_alone(home, capsys, url, client, content):
    file = home / PLACES[client]
    file.parent.mkdir(parents=True)
    file.write_text(content)
    assert main(["connect", client, "--url", url, "--write"]) == 2
    assert file.read_text() == content
    assert "add this to it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--url", "http://127.0.0.1:9"], 3, "start it (inferd serve MODEL)"),
        (["--model", "large"], 2, "it serves small, org/small"),
    ],
)
def test_what_is_not_there_is_said(home, capsys, url, words, code, message):
    given = words if "--url" in words else ["--url", url, *words]
    assert main(["connect", "codex", *given]) == code
    assert message in capsys.readouterr().err
