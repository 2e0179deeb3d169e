"""The kernels of packed experts compile for GPUs that are not here: none spills, all fit."""

from __future__ import annotations

import pytest

pytest.importorskip("inferd_ops_triton")
pytest.importorskip("triton")

import torch

from inferd.testing.kernels import Report, compile_variants

PLUGIN = "ops_triton"
VARIANTS = "packed_experts_variants"


@pytest.mark.parametrize(
    "arch", ["sm_90", "gfx942", pytest.param("gfx90a", marks=pytest.mark.slow)]
)
def test_common_variants(variants, arch: str) -> None:
    """In bfloat16: the smallest tile of the first form, FP8, and act-order."""
    every = list(variants.variants(arch, (torch.bfloat16,)))
    check_matrix_ops(compile_variants([*every[:2], *every[-3:]], arch))


@pytest.mark.aot
@pytest.mark.parametrize("arch", ["sm_90", "gfx90a", "gfx942"])
def test_every_variant(variants, arch: str) -> None:
    check_matrix_ops(compile_variants(list(variants.variants(arch)), arch))


def check_matrix_ops(reports: list[Report]) -> None:
    for report in reports:
        assert bool(report.matrix_ops) != report.name.startswith("ordered"), report
