"""inferd quantize: what is checked first, and what the library's environment is asked for."""

from __future__ import annotations

import json

import pytest

from inferd.cli import main

ECHO = """#!/bin/sh
echo "$1" > "{folder}/script"
touch log
cat > "{folder}/job"
exit {status}
"""


@pytest.fixture
def place(monkeypatch, tmp_path):
    """With a model in it, and nothing installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INFERD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "texts").write_text("one\n\n two\n")
    return tmp_path


def install(place, library, status=0):
    """An interpreter that writes down what it is given."""
    python = place / "cache" / "oracles" / library / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(ECHO.format(folder=place, status=status))
    python.chmod(0o755)


def test_the_library_gets_the_job(place, capsys):
    install(place, "gptqmodel")
    words = ["--to", "gptq", "--bits", "8", "--group-size", "32", "--act-order"]
    assert main(["quantize", "model", *words, "--calibration", "texts"]) == 0
    assert (place / "script").read_text().strip().endswith("/quantizers/with_gptqmodel.py")
    assert json.loads((place / "job").read_text()) == {
        "model": str(place / "model"),
        "output": str(place / "model-gptq"),
        "to": "gptq",
        "texts": ["one", " two"],
        "bits": 8,
        "group_size": 32,
        "act_order": True,
    }
    assert not (place / "log").exists()
    assert "inferd serve model-gptq" in capsys.readouterr().out


def test_without_the_library_the_lines_that_install_it(place, capsys):
    assert main(["quantize", "model", "--to", "fp8"]) == 3
    said = capsys.readouterr().err
    folder = place / "cache" / "oracles" / "llmcompressor"
    assert f"python3.11 -m venv {folder}" in said
    assert "/quantizers/llmcompressor.txt" in said
    assert "make oracles" in said


def test_a_library_that_fails_is_not_passed_over(place, capsys):
    install(place, "llmcompressor", status=7)
    assert main(["quantize", "model", "--to", "fp8"]) == 3
    assert "llmcompressor ended with status 7" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "awq"], "needs --calibration FILE"),
        (["--to", "awq", "--calibration", "model"], "--calibration model"),
        (["--to", "awq", "--calibration", "empty"], "has no texts"),
        (["--to", "awq", "--bits", "8"], "--to awq has bits 4, found --bits 8"),
        (["--to", "fp8", "--act-order"], "goes with --to gptq"),
        (["--to", "fp8", "--output", "model"], "model is there already"),
    ],
)
def test_what_cannot_be_is_refused_first(place, capsys, words, message):
    (place / "empty").write_text("\n")
    for library in ("gptqmodel", "llmcompressor"):
        install(place, library)
    assert main(["quantize", "model", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (place / "job").exists()


def test_what_is_quantized_already_is_refused(place, capsys):
    install(place, "llmcompressor")
    (place / "model" / "config.json").write_text('{"quantization_config": {"quant_method": "awq"}}')
    (place / "some.gguf").touch()
    assert main(["quantize", "model", "--to", "fp8"]) == 2
    assert "quantized already: awq" in capsys.readouterr().err
    assert main(["quantize", "some.gguf", "--to", "fp8"]) == 2
    assert "is a .gguf" in capsys.readouterr().err
