"""Writes docs/reference/rocm.md: what each kernel takes on AMD GPUs, from compiling it for them.

python docs/generate_rocm.py      compiles every variant for every architecture: some minutes
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from inferd.testing.kernels import Report, Variant, compile_variants

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "rocm.md"
ARCHITECTURES = ("gfx90a", "gfx942")
SOURCES = {
    "Attention": "attention_triton/tests/variants.py",
    "Layers": "ops_triton/tests/variants.py",
    "Sampling": "ops_triton/tests/sampling_variants.py",
    "Packed weights": "ops_triton/tests/packed_variants.py",
    "Packed experts": "ops_triton/tests/packed_experts_variants.py",
    "Rounded inputs": "ops_triton/tests/scaled_variants.py",
}
HEAD = """# Kernels on AMD GPUs

<!-- written by docs/generate_rocm.py; change the kernels and run it again -->

What Triton {triton} makes of every variant that `make aot-all` compiles: vector registers of a
thread, of which there are 512 with those for accumulation; those of them that spill; bytes of LDS
of a program, of which there are 65536. No AMD GPU was at hand, so nothing here was timed. gfx90a is
the MI200 series, which has no fp8; gfx942 is the MI300 series. An empty cell is a variant that the
architecture does not take.
"""


def variants(section: str, arch: str) -> dict[str, Variant]:
    """By name, all that are compiled for an architecture."""
    found = list(_module(section).variants(arch, **_types(section, arch)))
    named = {each.name.strip(): each for each in found}
    assert len(named) == len(found), f"{section}: two variants have one name"
    return named


def _types(section: str, arch: str) -> dict[str, tuple[str, ...]]:
    if section != "Attention":
        return {}
    fp8 = () if arch == "gfx90a" else ("fp8",)
    return {"types": ("bf16", "fp16", "fp32", *fp8)}


def _module(section: str) -> ModuleType:
    path = ROOT / "plugins" / SOURCES[section]
    spec = importlib.util.spec_from_file_location(f"{section.lower()}_variants", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(name: str, by_arch: Mapping[str, Report]) -> str:
    cells = [name]
    for arch in ARCHITECTURES:
        found = by_arch.get(arch)
        cells += ["", "", ""] if found is None else map(str, _numbers(found))
    return f"| {' | '.join(cells)} |"


def _numbers(report: Report) -> tuple[int, int, int]:
    return report.registers, report.spills, report.shared_bytes


def table(section: str) -> Iterator[str]:
    found: dict[str, dict[str, Report]] = {}
    for arch in ARCHITECTURES:
        for report in compile_variants(list(variants(section, arch).values()), arch):
            found.setdefault(report.name.strip(), {})[arch] = report
    columns = [
        f"{arch}: {what}" for arch in ARCHITECTURES for what in ("registers", "spills", "LDS")
    ]
    yield f"| kernel | {' | '.join(columns)} |"
    yield f"| --- |{' ---: |' * len(columns)}"
    yield from (row(name, found[name]) for name in sorted(found))


def main() -> None:
    lines = [HEAD.format(triton=version("triton"))]
    for section in SOURCES:
        lines += [f"## {section}", "", *table(section), ""]
    PAGE.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
