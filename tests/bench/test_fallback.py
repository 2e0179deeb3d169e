"""The price of the fallback: that each way is given its plugins, and what is read of a run."""

from __future__ import annotations

import json
import sys

import pytest
from bench import fallback


def run_w1(monkeypatch, tmp_path, problem=None):
    asked = []

    def run_driver(command, environment, log, show, timeout):
        options = json.loads(command[command.index("--options") + 1])
        asked.append((options["plugins"], options["load_format"]))
        speed = 100.0 if options["plugins"] == "all" else 90.0
        return [{"section": "start"}, {"section": "w1", "out_tok_s": speed}], problem

    monkeypatch.setattr(fallback, "run_driver", run_driver)
    monkeypatch.setattr(fallback, "LOG", tmp_path / "log")
    monkeypatch.setenv("INFERD_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["fallback", "--w1", "tiny", "--rounds", "2"])
    fallback.main()
    return asked


def test_w1_runs_both_ways_in_turn(monkeypatch, tmp_path, capsys):
    asked = run_w1(monkeypatch, tmp_path)
    assert asked == [("all", "dummy"), ("no:llama", "dummy")] * 2
    assert "transformers / native: 0.90" in capsys.readouterr().out


def test_a_run_that_fails_is_no_figure(monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match="exit code 1"):
        run_w1(monkeypatch, tmp_path, problem="exit code 1")
