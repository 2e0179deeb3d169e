"""Compiling kernels for an architecture that this machine does not have.

The work is done in child processes: a kernel knows when it is imported whether it will be
interpreted, and a compiler that is asked for something strange may abort its process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from inferd.testing.kernels.variant import Variant

SHARED_LIMIT = {"sm_90": 232448, "gfx90a": 65536, "gfx942": 65536}  # bytes a program may use
SPILL_SLACK = 16  # bytes: ptxas parks two values to run one more program at once


@dataclass(frozen=True, slots=True)
class Report:
    name: str
    registers: int
    spills: int  # bytes of local memory (sm_*), registers (gfx*)
    shared_bytes: int
    matrix_ops: tuple[str, ...]  # which of wgmma, mma.sync and v_mfma occur


def compile_variants(variants: Sequence[Variant], arch: str) -> list[Report]:
    """Compile for "sm_90", "gfx90a" or "gfx942", in one process per core.

    Raises AssertionError for what does not compile, spills, or does not fit on the chip.
    """
    assert arch in SHARED_LIMIT, f"unknown architecture {arch!r}; known: {', '.join(SHARED_LIMIT)}"
    assert variants, "no variants to compile"
    rows = [asdict(variant) for variant in variants]
    children = min(len(rows), os.cpu_count() or 1)
    with ThreadPoolExecutor(children) as pool:
        parts = pool.map(_compile, (rows[i::children] for i in range(children)), [arch] * children)
        reports = [report for part in parts for report in part]
    bad = [report for report in reports if not _fits(report, arch)]
    assert not bad, f"{arch}: over {SHARED_LIMIT[arch]} bytes, or spilling:\n  " + "\n  ".join(
        map(str, bad)
    )
    return reports


def _fits(report: Report, arch: str) -> bool:
    slack = SPILL_SLACK if arch.startswith("sm_") else 0
    return report.spills <= slack and report.shared_bytes <= SHARED_LIMIT[arch]


def _compile(variants: list[dict[str, object]], arch: str) -> list[Report]:
    env = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-m", "inferd.testing.kernels.aot_child", arch],
        input=json.dumps(variants),
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert done.returncode == 0, f"compiling for {arch} failed:\n{done.stderr[-4000:]}"
    rows = json.loads(done.stdout.splitlines()[-1])
    return [Report(**{**row, "matrix_ops": tuple(row["matrix_ops"])}) for row in rows]
