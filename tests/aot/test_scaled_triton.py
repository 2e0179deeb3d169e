"""The kernels of W8A8 compile for GPUs that are not here: none spills, all fit."""

from __future__ import annotations

import pytest

pytest.importorskip("inferd_ops_triton")
pytest.importorskip("triton")

from inferd.testing.kernels import compile_variants

PLUGIN = "ops_triton"
VARIANTS = "scaled_variants"


@pytest.mark.parametrize("arch", ["sm_90", "gfx942"])
def test_every_variant(variants, arch: str) -> None:
    for report in compile_variants(list(variants.variants(arch)), arch):
        assert bool(report.matrix_ops) == report.name.startswith("scaled"), report
