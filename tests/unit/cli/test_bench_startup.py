"""Starts of the engine by phase: what is added up, and a real start of a tiny model."""

from __future__ import annotations

import json

from inferd.cli import main
from inferd.cli.bench.command_line import COMMANDS, LIMIT_MS
from inferd.cli.bench.startup import PHASES, text
from inferd.cli.bench.startup_process import in_order
from inferd.cli.bench.startup_run import _figures
from inferd.testing.tiny import write_checkpoint


def start(seconds):
    phases = {"python": 0.1, "torch": 2.0, "device": 0.4, "first_token": seconds - 2.5}
    return {"setting": {"model": "m"}, "phases_s": phases, "first_token_s": seconds}


def test_the_workers_phases_stand_in_the_place_of_their_part_of_the_engine():
    outer = {"python": 0.1, "torch": 2.0, "engine": 5.0, "first_token": 0.2}
    found = in_order(outer, {"device": 0.5, "weights": 3.5})
    assert list(found) == ["python", "torch", "device", "weights", "engine", "first_token"]
    assert found["engine"] == 1.0
    assert sum(found.values()) == sum(outer.values())


def test_the_median_start_counts_and_torch_is_left_out():
    found = _figures([start(9.0), start(7.5), start(8.0)], cold=start(20.0))
    assert (found["first_token_s"], found["torch_and_device_s"]) == (8.0, 2.5)
    assert (found["over_torch_s"], found["cold_over_warm_s"]) == (5.5, 12.0)
    assert found["phases_s"]["first_token"] == 5.5
    assert "cold_first_token_s" not in _figures([start(9.0)], None)


def test_a_real_start_cold_and_warm(tmp_path, capsys):
    write_checkpoint(tmp_path, num_hidden_layers=2)
    words = ["--model", str(tmp_path), "--dtype", "float32", "--cold", "--num-iters", "1"]
    page = tmp_path / "report.html"
    assert main(["bench", "startup", *words, "--json", "--html", str(page)]) == 0
    assert "inferd --help" in page.read_text() and "import torch" in page.read_text()
    values = json.loads(capsys.readouterr().out)
    assert list(values["phases_s"]) == list(values["cold_phases_s"]) == list(PHASES)
    assert all(seconds >= 0 for seconds in values["phases_s"].values())
    assert values["phases_s"]["torch"] > 0 and values["over_torch_s"] > 0
    assert (values["dtype"], values["platform"]) == ("float32", "cpu")
    measured = {row["name"]: row for row in values["command_line"]}
    assert measured.keys() == {*COMMANDS, *LIMIT_MS}
    shown = text(values)
    assert "import torch" in shown and "cold over warm" in shown and "inferd --help" in shown


def test_a_start_that_fails_shows_why(tmp_path, capsys):
    write_checkpoint(tmp_path, num_hidden_layers=2)
    words = ["--model", str(tmp_path), "--max-model-len", "64", "--num-blocks", "2"]
    assert main(["bench", "startup", *words]) == 3
    shown = capsys.readouterr().err
    assert "did not start (exit code 4)" in shown and "--max-model-len 16" in shown
    assert "Traceback" not in shown
