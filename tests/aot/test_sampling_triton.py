"""The sampling kernels compile for GPUs that are not here: none spills, all fit on the chip."""

from __future__ import annotations

import pytest

pytest.importorskip("inferd_ops_triton")
pytest.importorskip("triton")

from inferd.testing.kernels import compile_variants

PLUGIN = "ops_triton"
VARIANTS = "sampling_variants"


@pytest.mark.parametrize(
    "arch", ["sm_90", "gfx942", pytest.param("gfx90a", marks=pytest.mark.slow)]
)
def test_common_variants(variants, arch: str) -> None:
    compile_variants(list(variants.variants(arch, sizes=(128256,))), arch)


@pytest.mark.aot
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("arch", ["sm_90", "gfx90a", "gfx942"])
def test_every_variant(variants, arch: str) -> None:
    compile_variants(list(variants.variants(arch)), arch)
