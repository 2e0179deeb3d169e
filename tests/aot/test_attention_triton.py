"""The attention kernels compile for GPUs that are not here: none spills, all fit on the chip."""

from __future__ import annotations

import pytest

pytest.importorskip("inferd_attention_triton")
pytest.importorskip("triton")

from inferd.testing.kernels import Report, compile_variants

PLUGIN = "attention_triton"
SPECIAL = (" window", " cap", " alibi", " sinks")
COMMON = {"types": ("bf16", "fp16", "fp8"), "head_sizes": (64, 128, 256), "pages": (16,)}


@pytest.mark.parametrize("arch", ["sm_90", "gfx942"])
def test_common_variants(variants, arch: str) -> None:
    plain = variants.variants(arch, **COMMON, features=("",))
    special = variants.variants(arch, ("bf16",), (128, 512), pages=(16,), features=SPECIAL)
    chosen = {variant.name: variant for variant in (*plain, *special)}
    check_matrix_ops(compile_variants(list(chosen.values()), arch))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["bf16", "fp16", "fp32", "fp8"])
@pytest.mark.parametrize("arch", ["sm_90", "gfx90a", "gfx942"])
def test_every_variant(variants, arch: str, kind: str) -> None:
    if (arch, kind) == ("gfx90a", "fp8"):
        pytest.skip("gfx90a has no fp8")
    reports = compile_variants(list(variants.variants(arch, (kind,))), arch)
    if kind != "fp32":
        check_matrix_ops(reports)


def check_matrix_ops(reports: list[Report]) -> None:
    """Large blocks of queries use the widest instructions that the architecture has."""
    products = [r for r in reports if r.name.startswith(("decode", "prefill", "latent"))]
    assert products
    for report in products:
        assert report.matrix_ops, f"{report} multiplies without matrix instructions"
        if report.name.startswith("latent"):
            continue  # its blocks of queries are as large as registers allow
        if "mma.sync" in report.matrix_ops or "wgmma" in report.matrix_ops:
            large = report.name.startswith(("prefill 64", "prefill 128"))
            assert large == ("wgmma" in report.matrix_ops), report
