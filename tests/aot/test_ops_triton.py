"""The kernels of a layer compile for GPUs that are not here: none spills, all fit on the chip."""

from __future__ import annotations

import pytest

pytest.importorskip("inferd_ops_triton")
pytest.importorskip("triton")

from inferd.testing.kernels import Report, compile_variants

PLUGIN = "ops_triton"


@pytest.mark.parametrize(
    "arch", ["sm_90", "gfx942", pytest.param("gfx90a", marks=pytest.mark.slow)]
)
def test_common_variants(variants, arch: str) -> None:
    check_matrix_ops(compile_variants(list(variants.variants(arch, ("bf16", "fp16"))), arch))


@pytest.mark.aot
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("arch", ["sm_90", "gfx90a", "gfx942"])
def test_every_variant(variants, arch: str) -> None:
    check_matrix_ops(compile_variants(list(variants.variants(arch)), arch))


def check_matrix_ops(reports: list[Report]) -> None:
    """Linears of several tokens and experts multiply in the matrix units; nothing else does."""
    for report in reports:
        multiplies = report.name.startswith(("skinny", "gated", "gate_up", "down"))
        assert bool(report.matrix_ops) == multiplies, report
