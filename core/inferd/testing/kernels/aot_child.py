"""The child process of aot.py: variants as JSON on stdin, reports as one line of JSON."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from inferd.plugin.registry import import_target

MATRIX_OPS = ("wgmma", "mma.sync", "v_mfma")


def main(arch: str) -> None:
    reports = [_report(variant, arch) for variant in json.load(sys.stdin)]
    print(json.dumps(reports))


def _report(variant: dict[str, Any], arch: str) -> dict[str, object]:
    try:
        compiled = _compile(variant, arch)
    except Exception as error:
        raise SystemExit(f"{variant['name']}: {type(error).__name__}: {error}") from error
    code = compiled.asm["ptx" if arch.startswith("sm_") else "amdgcn"]
    usage = _nvidia(compiled.asm["cubin"]) if arch.startswith("sm_") else _amd(code)
    return {
        "name": variant["name"],
        "registers": usage[0],
        "spills": usage[1],
        "shared_bytes": compiled.metadata.shared,
        "matrix_ops": [op for op in MATRIX_OPS if op in code],
    }


def _compile(variant: dict[str, Any], arch: str) -> Any:
    kernel: Any = import_target(variant["kernel"])
    types, constants = variant["signature"], variant["constexprs"]
    missing = set(kernel.arg_names) ^ (set(types) | set(constants))
    if missing:
        raise ValueError(f"arguments of the kernel and of the variant differ: {sorted(missing)}")
    aligned = {n for n, kind in types.items() if kind.startswith("*")} | set(variant["aligned"])
    source = _source(kernel)(
        fn=kernel,
        signature={name: types.get(name, "constexpr") for name in kernel.arg_names},
        constexprs={(i,): constants[n] for i, n in enumerate(kernel.arg_names) if n in constants},
        attrs={
            (i,): [["tt.divisibility", 16]] for i, n in enumerate(kernel.arg_names) if n in aligned
        },
    )
    options = {name: variant[name] for name in ("num_warps", "num_stages")}
    if variant["maxnreg"] is not None:
        options["maxnreg"] = variant["maxnreg"]
    return triton.compile(source, target=_target(arch), options=options)


def _source(kernel: Any) -> Any:
    if not kernel.is_gluon():
        return ASTSource
    from triton.experimental.gluon._runtime import GluonASTSource  # private, for such kernels only

    return GluonASTSource


def _target(arch: str) -> GPUTarget:
    if arch.startswith("sm_"):
        return GPUTarget("cuda", int(arch.removeprefix("sm_")), 32)
    return GPUTarget("hip", arch, 64)


def _nvidia(cubin: bytes) -> tuple[int, int]:
    """(registers, bytes of stack and local memory)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.cubin")
        path.write_bytes(cubin)
        tool = triton.knobs.nvidia.cuobjdump.path
        told = subprocess.run(
            [tool, "--dump-resource-usage", path], capture_output=True, text=True, check=True
        ).stdout
    found = {key: int(re.findall(rf"{key}:(\d+)", told)[-1]) for key in ("REG", "STACK", "LOCAL")}
    return found["REG"], found["STACK"] + found["LOCAL"]


def _amd(code: str) -> tuple[int, int]:
    """(vector registers, spilled ones)."""
    count, spilled = (
        int(re.findall(rf"\.{key}:\s+(\d+)", code)[-1])
        for key in ("vgpr_count", "vgpr_spill_count")
    )
    return count, spilled


if __name__ == "__main__":
    main(sys.argv[1])
