"""Other people's clients: each in an environment that `make clients harnesses` makes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
PLACE = HERE.parents[2] / ".clients"  # ignored by git


def run(command: list[str | Path], *, timeout: float = 280, **environment: str) -> str:
    """What the program printed; fails with what it said when it does not end with 0."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def python_of(name: str) -> Path:
    return PLACE / name / "bin" / "python"
