"""The kernels in Gluon of packed weights compile for sm_90: none spills, all fit."""

from __future__ import annotations

import pytest

pytest.importorskip("inferd_ops_triton")
pytest.importorskip("triton")

from inferd.testing.kernels import Report, compile_variants

PLUGIN = "ops_triton"
VARIANTS = "gluon_variants"


def test_common_variants(variants) -> None:
    check_matrix_ops(compile_variants(list(variants.variants("sm_90", ("bf16",))), "sm_90"))


@pytest.mark.aot
def test_every_variant(variants) -> None:
    check_matrix_ops(compile_variants(list(variants.variants("sm_90")), "sm_90"))


def check_matrix_ops(reports: list[Report]) -> None:
    for report in reports:
        expected = "wgmma" if report.name.endswith("ring") else "mma.sync"
        assert report.matrix_ops == (expected,), report
