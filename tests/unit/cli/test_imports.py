"""What a start of the command line imports; `inferd bench startup` has the times that follow."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = {"torch", "transformers", "fastapi", "pydantic", "numpy", "rich", "zmq", "tokenizers"}
STARTS = {
    "import inferd": "import inferd",
    "help": "from inferd.cli import main; main(['--help'])",
    "examples": "from inferd.cli import main; main([])",
    "plugins": "from inferd.cli import main; main(['plugins'])",
    "plugins info": "from inferd.cli import main; main(['plugins', 'info', 'builtin'])",
    "plugins new": "from inferd.cli import main; main(['plugins', 'new', 'ops', 'no-name'])",
}
PROBE = "\nimport sys, json; print(); print(json.dumps(sorted(sys.modules)))"


@pytest.mark.parametrize("start", STARTS)
def test_nothing_heavy_is_imported(start, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", STARTS[start] + PROBE],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert "inferd" in modules
    assert not HEAVY & modules


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_that_wait_for_work_sleep_soon(given: dict[str, str], expected: str) -> None:
    """Unless the user has said what they do."""
    own = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    env = {name: value for name, value in os.environ.items() if name not in own} | given
    code = "import inferd, os; print(os.environ.get('GOMP_SPINCOUNT'))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
