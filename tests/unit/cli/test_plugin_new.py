"""inferd plugins new: every kind that is loaded, as written, passes its own tests."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from inferd.cli import main
from inferd.cli.plugin_kinds import WRITTEN
from inferd.cli.plugin_new import write_plugin
from inferd.host.catalog import KINDS

ALONE = ("-c", os.devnull, "--rootdir=.", "--import-mode=importlib")
SLOW = ("models",)  # transformers is the oracle: most of a minute on two cores


def write(kind: str, into: Path, name: str = "sample") -> Path:
    """A plugin of this kind, with the metadata that installing it would leave."""
    write_plugin(kind, name, into)
    folder = next(f for f in into.iterdir() if f.name.endswith(f"-{name.replace('_', '-')}"))
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{folder.name.replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = [f"{k} = {v}" for k, v in project["entry-points"]["inferd"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[inferd]", *points, ""]))
    return folder


def run_tests(folders: list[Path], *words: str) -> str:
    """What pytest prints, in a process that has the plugins on its path; all must pass."""
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *ALONE, *words, *(f"{folder.name}/tests" for folder in folders)],
        cwd=folders[0].parent,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_written_plugins_pass_their_tests_side_by_side(tmp_path):
    folders = [write(kind, tmp_path, f"my_{kind}") for kind in WRITTEN]
    quick = [folder for folder in folders if "models" not in folder.name]
    told = run_tests(quick)
    for folder in quick:
        assert f"PASSED {folder.name}/tests/test_contract.py::TestContract" in told
    told = run_tests(folders[:1], "-k", "discovered or resolves or heavy or blocked")
    assert "4 passed" in told


@pytest.mark.slow
@pytest.mark.parametrize("kind", SLOW)
def test_a_slow_one_passes_its_tests(tmp_path, kind):
    assert "test_parity" in run_tests([write(kind, tmp_path)])


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_is_written_is_complete_and_short(tmp_path, kind):
    folder = write(kind, tmp_path)
    (package,) = folder.glob("inferd_*[!o]/")
    assert (package / "py.typed").read_text() == ""
    assert len((package / "plugin.py").read_text().splitlines()) < 30
    assert "sample" in (folder / "README.md").read_text()
    for file in folder.rglob("*"):
        if file.is_file():
            assert "$" not in file.read_text(), file
        if file.suffix == ".py":
            ast.parse(file.read_text())


def test_an_attention_backend_is_not_said_to_win(tmp_path):
    told = (write("attention", tmp_path) / "README.md").read_text()
    assert "used as soon as" not in told
    assert "inferd plugins why attention MODEL" in told
    assert "`--attention-backend sample` insists" in told


def test_kinds_that_nothing_loads_are_refused_by_name(tmp_path, capsys):
    for kind in KINDS.keys() - WRITTEN.keys():
        assert main(["plugins", "new", kind, "sample", "--into", str(tmp_path)]) == 2
        err = capsys.readouterr().err
        assert f"nothing loads {kind} in this version" in err
        assert "attention, quantization" in err
    assert list(tmp_path.iterdir()) == []


def test_the_hookspecs_say_the_same_about_what_is_loaded():
    from inferd.plugin import hookspecs

    for kind in KINDS:
        says = getattr(hookspecs, f"inferd_register_{kind}").__doc__
        assert ("Nothing loads them" in says) == (kind not in WRITTEN), kind


@pytest.mark.parametrize("name", ["", "Awq", "1a", "a-b", "a__b", "_a", "all", "none", "a.b", "é"])
def test_a_bad_name_is_refused(tmp_path, capsys, name):
    assert main(["plugins", "new", "ops", name, "--into", str(tmp_path)]) == 2
    assert "cannot name a plugin" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_another_plugin_is_refused(tmp_path, capsys):
    assert main(["plugins", "new", "ops", "parsers", "--into", str(tmp_path)]) == 2
    assert "inferd is installed and offers a plugin 'parsers'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_lists_the_known(tmp_path, capsys):
    assert main(["plugins", "new", "kernels", "sample", "--into", str(tmp_path)]) == 2
    assert "kinds: models, attention" in capsys.readouterr().err


def test_nothing_is_overwritten_and_the_next_step_is_said(tmp_path, capsys):
    words = ["plugins", "new", "ops", "sample", "--into", str(tmp_path)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert f"cd {tmp_path}/inferd-ops-sample && pip install -e ." in out
    (tmp_path / "inferd-ops-sample" / "README.md").write_text("mine")
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "inferd-ops-sample" / "README.md").read_text() == "mine"
