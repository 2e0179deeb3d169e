"""inferd config show, and the order in which flags, environment and file count."""

from __future__ import annotations

import json
import tomllib

import pytest

from inferd.cli import main


@pytest.fixture
def place(monkeypatch, tmp_path):
    """An empty current directory, and nothing in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("INFERD_PLUGINS", "INFERD_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def shown(capsys, *flags: str) -> dict[str, dict]:
    assert main(["config", "show", "--json", *flags]) == 0
    rows = map(json.loads, capsys.readouterr().out.splitlines())
    return {f"{row['section']}.{row['option']}": row for row in rows}


@pytest.mark.parametrize(
    ("option", "flag", "variable"),
    [
        ("engine.seed", "--seed", "INFERD_SEED"),
        ("serve.port", "--port", "INFERD_SERVE__PORT"),
    ],
)
def test_flags_beat_the_environment_and_that_the_file(
    place, capsys, monkeypatch, option, flag, variable
):
    def found(*flags: str) -> tuple[int, str]:
        row = shown(capsys, *flags)[option]
        return row["value"], row["origin"]

    section, _, name = option.partition(".")
    assert found()[1] == "default"
    (place / "inferd.toml").write_text(f"[{section}]\n{name} = 1")
    assert found() == (1, f"[{section}] in inferd.toml")
    monkeypatch.setenv(variable, "2")
    assert found() == (2, variable)
    assert found(flag, "3") == (3, flag)


def test_plugins_are_shown_as_they_were_chosen(place, capsys, monkeypatch):
    assert shown(capsys)["engine.plugins"]["value"] == "all"
    row = shown(capsys, "--plugins", "none", "--plugins", "llama")["engine.plugins"]
    assert (row["value"], row["origin"]) == ("none,llama", "--plugins")


def test_what_is_shown_is_an_inferd_toml(place, capsys):
    assert main(["config", "show", "--served-model-name", "a", 'b"', "--seed", "7"]) == 0
    text = capsys.readouterr().out
    content = tomllib.loads(text)
    assert content["engine"]["seed"] == 7
    assert content["serve"]["served_model_name"] == ["a", 'b"']
    (place / "inferd.toml").write_text(text)
    assert main(["config", "show"]) == 0
    assert capsys.readouterr().out == text


def test_origins_stand_in_comments(place, capsys):
    assert main(["config", "show", "--origin", "--seed", "7"]) == 0
    text = capsys.readouterr().out
    assert "# --seed\n" in text
    assert tomllib.loads(text)["engine"]["seed"] == 7


def test_keys_are_not_shown(place, capsys, monkeypatch):
    monkeypatch.setenv("INFERD_SERVE__API_KEY", "first second")
    assert main(["config", "show"]) == 0
    text = capsys.readouterr().out
    assert "# api_key is set" in text
    assert "first" not in text


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ("[serve]\nprot = 1", [], "[serve] has no option 'prot'; did you mean 'port'?"),
        ("[serve]\nport = -1", [], "[serve] in inferd.toml: Input should be greater"),
        ("[servee]", [], "servee is no section; known: [engine], [serve]"),
        ("[doctor]", [], "doctor is no section"),
        ("", ["--port", "x"], "--port: Input should be a valid integer"),
    ],
)
def test_what_is_wrong_is_named(place, capsys, content, words, message):
    (place / "inferd.toml").write_text(content)
    assert main(["config", "show", *words]) == 2
    assert message in capsys.readouterr().err
