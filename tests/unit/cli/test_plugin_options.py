"""Options of a plugin: flag, environment, inferd.toml, EngineConfig, the implementation."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import pytest

from inferd.cli import Parser, main
from inferd.config.engine import EngineConfig
from inferd.config.flags import add_engine_flags, engine_config
from inferd.config.plugins import PluginOptions
from inferd.errors import PluginError, UsageError
from inferd.host.host import Host
from inferd.host.selection import Selection

PLUGIN = """
INFERD_OPTIONS = "{options}:ToyOptions"

@hookimpl
def inferd_register_executors(registry):
    registry.add("tell", "{options}:Tell", summary="says what it was given")
"""
OPTIONS = """
from typing import Literal
from pydantic import Field
from inferd.config.base import Options
from inferd.contracts.executor import Executor
from inferd.errors import UsageError

class ToyOptions(Options):
    group_size: int = Field(128, ge=1, description="weights per scale")
    zero_point: bool = True
    kernel: Literal["fast", "safe"] = "fast"

class Tell(Executor):
    name = "tell"
    def __init__(self, config, plugins, options=None):
        self.plugins, self.options = plugins, options
    def start(self):
        raise UsageError(f"plugins {self.plugins}, options {self.options!r}")
    def forward(self, plan): ...
    def sample(self, step_id): ...
    def collect(self): ...
    def stop(self): ...
"""


@pytest.fixture
def toyq(plugins, monkeypatch, tmp_path):
    """The plugin `toyq`; the current directory is empty."""
    name = f"{plugins.place.name}_options"
    (plugins.place / f"{name}.py").write_text(OPTIONS)
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, name)
    plugins.add("toyq", PLUGIN.format(options=name))
    monkeypatch.chdir(tmp_path)
    return name


def configured(*words: str, plugins: str = "all") -> EngineConfig:
    parser = Parser("test", plugins=Host(Selection.parse(plugins)))
    add_engine_flags(parser)
    return engine_config(parser.parse_args([*words]), "model")


def chosen(*words: str, **options) -> dict:
    return configured(*words, **options).plugins.plugin_options.get("toyq", {})


def test_nothing_is_imported_before_flags_are_wanted(toyq):
    host = Host(Selection.parse("all"))
    assert toyq not in sys.modules
    assert "toyq" in host.option_models()
    assert toyq in sys.modules


def test_flags_are_derived_with_types_choices_and_help(toyq, capsys):
    assert chosen("--toyq.group-size", "64", "--no-toyq.zero-point", "--toyq.kernel=safe") == {
        "group_size": 64,
        "zero_point": False,
        "kernel": "safe",
    }
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    help_text = " ".join(capsys.readouterr().out.split())
    assert "options of the plugin toyq: --toyq.group-size" in help_text
    assert "weights per scale (default: 128)" in help_text


def test_a_flag_beats_the_environment_and_that_the_file(toyq, monkeypatch, tmp_path):
    assert chosen() == {}
    (tmp_path / "inferd.toml").write_text("[plugins.toyq]\ngroup_size = 16\nkernel = 'safe'\n")
    assert chosen() == {"group_size": 16, "kernel": "safe"}
    monkeypatch.setenv("INFERD_TOYQ__GROUP_SIZE", "32")
    assert chosen() == {"group_size": 32, "kernel": "safe"}
    assert chosen("--toyq.group-size", "64") == {"group_size": 64, "kernel": "safe"}


def test_options_of_a_plugin_that_is_left_out_do_not_count(toyq, tmp_path):
    (tmp_path / "inferd.toml").write_text("[plugins.toyq]\ngroup_size = 16\n")
    config = configured(plugins="no:toyq")
    assert Host.of(config.plugins).resolved == config.plugins.plugins


BAD = {
    "unknown flag": (["--toyq.grup-size", "64"], "", "--toyq.group-size, --toyq.zero-point"),
    "bad value": (
        ["--toyq.group-size", "many"],
        "",
        "toyq.group_size: Input should be a valid int",
    ),
    "out of range": (["--toyq.group-size", "0"], "", "toyq.group_size: Input should be greater"),
    "bad choice": (["--toyq.kernel", "slow"], "", "known: fast, safe"),
    "no options": (["--builtin.size", "1"], "", "options of the plugin builtin: none"),
    "unknown in the file": ([], "[plugins.toyq]\ngrup_size = 1", "has no option 'grup_size'"),
    "bad in the file": ([], "[plugins.toyq]\ngroup_size = 'x'", "toyq.group_size: Input should be"),
    "not installed": ([], "[plugins.gptx]\nbits = 4", "'gptx', which is not installed"),
    "no section": ([], "[plugins]\ntoyq = 4", "plugins.toyq is no section"),
    "strange section": ([], "[engin]\nseed = 4", "engin is no section; known: [engine]"),
    "strange option": (
        [],
        "[engine]\nsed = 4",
        "no option 'sed'; did you mean 'seed'",
    ),
    "no toml": ([], "[engine", "--config inferd.toml"),
    "words are no text": ([], "[engine]\nplugins = ['toyq']", "write words"),
}


@pytest.mark.parametrize("how", BAD)
def test_what_is_wrong_ends_with_code_2_and_what_is_known(toyq, tmp_path, capsys, how):
    words, file, message = BAD[how]
    (tmp_path / "inferd.toml").write_text(file)
    assert main(["run", "model", "hello", *words]) == 2
    assert message in capsys.readouterr().err


def test_they_reach_the_implementation_in_the_engine_process(toyq, plugins, monkeypatch, capfd):
    monkeypatch.setenv("PYTHONPATH", str(plugins.place), prepend=os.pathsep)
    place = plugins.place / "model"
    place.mkdir()
    (place / "config.json").write_text("{}")
    words = ["--executor", "tell", "--toyq.group-size", "64", "--plugins", "none,toyq"]
    assert main(["run", str(place), "hello", "--skip-tokenizer-init", *words]) == 2
    told = capfd.readouterr().err
    assert "options ToyOptions(group_size=64, zero_point=True, kernel='fast')" in told
    assert "plugins none,toyq" in told


def test_a_child_process_gets_the_resolved_plugins(toyq, plugins, monkeypatch):
    plugins.add("broken", "raise RuntimeError('boom')")
    monkeypatch.setenv("INFERD_PLUGINS", "none,all")
    words = configured(plugins="all").plugins.plugins.split(",")
    assert words[0] == "none"
    assert "toyq" in words
    assert not {"all", "broken"} & set(words)


def test_offline_they_are_an_argument(toyq):
    config = EngineConfig.of("model", plugin_options={"toyq": {"group_size": "64"}})
    sent = EngineConfig.model_validate_json(config.model_dump_json())
    options = Host.of(sent.plugins).options_of("toyq")
    assert options.group_size == 64
    with pytest.raises(UsageError, match="has no option 'bits'"):
        Host.of(PluginOptions(plugin_options={"toyq": {"bits": 4}}))
    with pytest.raises(UsageError, match="'builtin' takes no options, got bits"):
        Host.of(PluginOptions(plugin_options={"builtin": {"bits": 4}}))


@pytest.mark.parametrize("target", ["no_such_module:Model", "json:loads", "json:nothing"])
def test_a_model_that_cannot_be_used_names_the_plugin(plugins, target):
    plugins.add("toyq", f"INFERD_OPTIONS = {target!r}")
    with pytest.raises(PluginError, match=r"plugin 'toyq'.*INFERD_OPTIONS"):
        Host(Selection.parse("all")).option_models()


def test_plugins_info_shows_them(toyq, capsys):
    assert main(["plugins", "info", "toyq", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (row,) = [row for row in rows if row["name"] == "--toyq.group-size"]
    assert row["kind"] == "option"
    assert row["summary"] == "weights per scale (default: 128)"


def test_a_command_outside_of_the_command_line_has_no_plugin_flags(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    add_engine_flags(parser)
    assert engine_config(parser.parse_args(["--plugins", "no:x"]), "m").plugins.plugins == "no:x"
