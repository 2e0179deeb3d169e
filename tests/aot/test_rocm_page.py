"""docs/reference/rocm.md is what compiling the kernels for AMD GPUs gives."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

pytest.importorskip("inferd_attention_triton")
pytest.importorskip("inferd_ops_triton")
pytest.importorskip("triton")

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

import generate_rocm as page

from inferd.testing.kernels import compile_variants

STALE = "stale: python docs/generate_rocm.py"
FEW = "Rounded inputs"  # the shortest table


def rows(section: str) -> dict[str, str]:
    """Lines of the page's table by the kernel's name."""
    text = page.PAGE.read_text(encoding="utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    return {line.split("|")[1].strip(): line for line in lines}


def check(section: str, chosen: list[str]) -> None:
    found: dict[str, dict[str, page.Report]] = {name: {} for name in chosen}
    for arch in page.ARCHITECTURES:
        there = page.variants(section, arch)
        for report in compile_variants([there[name] for name in chosen if name in there], arch):
            found[report.name.strip()][arch] = report
    written = rows(section)
    for name in chosen:
        assert written[name] == page.row(name, found[name]), STALE


def test_it_names_its_compiler() -> None:
    assert f"Triton {version('triton')} makes" in page.PAGE.read_text(encoding="utf-8"), STALE


@pytest.mark.parametrize("section", page.SOURCES)
def test_it_lists_every_variant(section: str) -> None:
    known = [page.variants(section, arch).keys() for arch in page.ARCHITECTURES]
    assert rows(section).keys() == set().union(*known), STALE


def test_a_few_rows_are_what_compiling_gives() -> None:
    both = [page.variants("Layers", arch) for arch in page.ARCHITECTURES]
    common = [name for name in both[0] if name in both[1]]
    check("Layers", [common[0], common[-1]])


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "section",
    [
        pytest.param(name, marks=pytest.mark.slow if name == FEW else pytest.mark.aot)
        for name in page.SOURCES
    ],
)
def test_all_rows_are_what_compiling_gives(section: str) -> None:
    check(section, list(rows(section)))
