"""inferd plugins: list, info, why and check."""

from __future__ import annotations

import json
import re

import pytest

from inferd.cli import main
from inferd.cli.output import show_rows


def run(capsys, *words: str) -> list[dict]:
    """Rows of `inferd plugins WORDS --json`."""
    assert main(["plugins", *words, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_list_shows_what_is_loaded_failed_and_not_selected(plugins, capsys):
    plugins.register("good", "ops", '"quick", "json:loads", summary="x"')
    plugins.add("bad", "raise RuntimeError('boom')")
    plugins.add("idle", "")
    rows = {row["plugin"]: row for row in run(capsys, "--plugins", "all,no:idle")}
    assert rows["good"]["state"] == "loaded"
    assert rows["good"]["registers"] == ["ops:quick"]
    assert rows["good"]["distribution"] == "inferd-good 1.0"
    assert rows["bad"]["state"] == "failed"
    assert rows["bad"]["reason"] == "RuntimeError: boom"
    assert rows["idle"]["state"] == "not selected"


def test_the_table_shows_the_reason_of_a_failure(plugins, capsys):
    plugins.add("bad", "raise RuntimeError('boom')")
    assert main(["plugins"]) == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith("bad ")]
    assert line.split() == ["bad", "failed", "inferd-bad", "1.0", "RuntimeError:", "boom"]


def test_a_failed_plugin_is_said_on_stderr_whatever_the_command(plugins, capsys):
    plugins.add("bad", "raise RuntimeError('boom')")
    assert main(["--help"]) == 0
    assert "plugin 'bad' is left out, it failed: RuntimeError: boom" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--plugins", "none", "list"], ["list", "--plugins", "none"]])
def test_plugins_may_stand_on_either_side_of_the_word(plugins, capsys, words):
    plugins.register("good", "ops", '"quick", "json:loads"')
    (row,) = [row for row in run(capsys, *words) if row["plugin"] == "good"]
    assert row["state"] == "not selected"


def test_words_come_from_flag_then_environment_then_file(plugins, capsys, monkeypatch, tmp_path):
    plugins.register("good", "ops", '"quick", "json:loads"')

    def state(*words: str) -> str:
        return {row["plugin"]: row["state"] for row in run(capsys, *words)}["good"]

    monkeypatch.chdir(tmp_path)
    (tmp_path / "inferd.toml").write_text('[engine]\nplugins = "no:good"\n')
    assert state() == "not selected"
    monkeypatch.setenv("INFERD_PLUGINS", "good")
    assert state() == "loaded"
    assert state("--plugins", "none") == "not selected"
    assert state("--plugins", "none", "--plugins", "good") == "loaded"


def test_an_unknown_plugin_exits_with_2_and_the_pip_line(plugins, capsys):
    assert main(["plugins", "--plugins", "awk"]) == 2
    err = capsys.readouterr().err
    assert "pip install inferd-KIND-awk" in err
    assert re.search(r"installed: .*builtin, .*server", err)


def test_check_imports_every_target_and_fails_for_a_broken_one(plugins, capsys):
    assert main(["plugins", "check", "--plugins", "none"]) == 0
    plugins.register("good", "ops", '"quick", "no_such_module:x"')
    assert main(["plugins", "check", "--plugins", "none,good", "--json"]) == 2
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line[0] == "{"]
    (row,) = [row for row in rows if row["plugin"] == "good"]
    assert "No module named 'no_such_module'" in row["state"]


def test_info_of_an_unknown_plugin_lists_the_installed(capsys):
    assert main(["plugins", "info", "awk"]) == 2
    assert re.search(r"installed: .*builtin, .*server", capsys.readouterr().err)


def test_a_command_that_does_not_exist_has_a_neighbour(capsys):
    assert main(["plugin"]) == 2
    assert "did you mean plugins?" in capsys.readouterr().err


ROWS = [{"name": "a", "what": "one two three four five six seven eight nine ten"}]


def test_on_a_terminal_the_last_column_wraps_under_itself(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    show_rows(ROWS, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "name  what",
        "a     one two three four five six seven",
        "      eight nine ten",
    ]


def test_in_a_pipe_each_row_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    show_rows(ROWS, as_json=False)
    assert len(capsys.readouterr().out.splitlines()) == 2
