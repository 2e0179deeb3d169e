"""inferd completion: what shells are told, by the scripts that are printed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inferd.cli import main
from inferd.cli.completion import SHELLS, candidates
from inferd.host.host import Host

CASES = {
    "ser": {"serve"},
    "serve --max-num-s": {"--max-num-seqs"},
    "serve --dtype ": {"auto", "bfloat16", "float16", "float32"},
    "serve smollm2 --dtype bf": {"bfloat16"},
    "serve smo": {"smollm2"},
    "plugins in": {"info"},
    "plugins info builtin --js": {"--json"},
    "bench throughput --plugins lla": {"llama"},
    "connect c": {"claude", "codex", "continue"},
    "serve --port ": set(),
    "nothing-like-that ": set(),
}


@pytest.fixture(scope="module")
def host() -> Host:
    return Host()


@pytest.mark.parametrize("typed", CASES)
def test_candidates(host: Host, typed: str) -> None:
    assert set(candidates(host, typed.split(" "))) == CASES[typed]


def test_the_first_word_is_a_command(host: Host) -> None:
    assert set(candidates(host, [])) == {*host.catalog.commands.names, "--help", "--version"}


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_are_printed_and_can_be_read_by_their_shell(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "inferd completion candidates -- " in script
    program = shutil.which(shell)
    if program is not None:  # bash is everywhere; the others where somebody uses them
        subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_bash_completes_with_it(tmp_path: Path) -> None:
    """The script as it is sourced, with an `inferd` that is this one."""
    program = tmp_path / "inferd"
    code = "import sys; from inferd.cli import main; sys.exit(main())"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    program.chmod(0o755)
    script = """eval "$(inferd completion bash)"
    COMP_WORDS=(inferd plugins in); COMP_CWORD=2; _inferd; echo "${COMPREPLY[@]}" """
    done = subprocess.run(
        ["bash", "-c", f"PATH={tmp_path}:$PATH; {script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "info"
