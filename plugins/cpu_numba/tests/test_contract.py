"""The backend and the ops keep their contracts."""

from __future__ import annotations

import pytest

from inferd.testing import AttentionContract, OpsContract
from inferd.testing.attention_cases import (
    ALIBI_CASES,
    CASES,
    LATENT_CASES,
    SINK_CASES,
    AttentionCase,
)
from inferd.testing.one_thread import OneThread

MULTIPLIED = [  # only numbers of this kind have products of two kinds
    case for case in (*CASES, *ALIBI_CASES, *SINK_CASES, *LATENT_CASES) if case.dtype == "bfloat16"
]


class TestAttention(AttentionContract):
    plugin = "cpu_numba"
    backend = "numba"
    cannot = {"float16", "block_size=8"}

    # each of their shapes is compiled for seconds; test_threads has one of each kind

    @pytest.mark.slow
    def test_agrees_with_the_reference_with_alibi(self) -> None:
        super().test_agrees_with_the_reference_with_alibi()

    @pytest.mark.slow
    def test_agrees_with_the_reference_with_sinks(self) -> None:
        super().test_agrees_with_the_reference_with_sinks()

    @pytest.mark.slow
    def test_agrees_with_the_reference_over_latents(self) -> None:
        super().test_agrees_with_the_reference_over_latents()


class TestOps(OpsContract):
    plugin = "cpu_numba"
    provider = "numba"
    cannot = {"float16"}


@pytest.mark.slow  # compiled for seconds too
@pytest.mark.usefixtures("other_products")
class TestAttentionByOtherProducts(OneThread):
    @pytest.mark.parametrize("case", MULTIPLIED, ids=str)
    def test_agrees_with_the_reference(self, case: AttentionCase) -> None:
        TestAttention()._attempt(case)


@pytest.mark.usefixtures("other_products")
class TestOpsByOtherProducts(TestOps):
    pass
