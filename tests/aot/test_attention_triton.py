"""The attention kernels compile for GPUs that are not here: none spills, all fit on the chip."""

from __future__ import annotations

import pytest

pytest.importorskip("inferd_attention_triton")
pytest.importorskip("triton")

from inferd.testing.kernels import Report, compile_variants

PLUGIN = "attention_triton"
SPECIAL = (" window", " cap", " alibi", " sinks")
TYPES = {
    "sm_90": ("bf16", "fp16", "fp32", "fp8"),
    "gfx90a": ("bf16", "fp16", "fp32"),
    "gfx942": ("bf16", "fp16", "fp32", "fp8"),
}


@pytest.mark.parametrize(
    "arch", ["sm_90", "gfx942", pytest.param("gfx90a", marks=pytest.mark.slow)]
)
def test_common_variants(variants, arch: str) -> None:
    narrow = [kind for kind in TYPES[arch] if kind != "fp32"]
    plain = variants.variants(arch, narrow, (64, 128, 256), pages=(16,), features=("",))
    special = variants.variants(arch, ("bf16",), (128, 512), pages=(16,), features=SPECIAL)
    chosen = {variant.name: variant for variant in (*plain, *special)}
    check_matrix_ops(compile_variants(list(chosen.values()), arch))


@pytest.mark.slow
@pytest.mark.parametrize("arch", TYPES)
def test_fp32(variants, arch: str) -> None:
    compile_variants(list(variants.variants(arch, ("fp32",), (64,), pages=(16,))), arch)


@pytest.mark.aot
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("arch", "kind"), [(arch, kind) for arch, kinds in TYPES.items() for kind in kinds]
)
def test_every_variant(variants, arch: str, kind: str) -> None:
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
