"""The platform of the GPU at hand keeps the contract on the GPU itself."""

from __future__ import annotations

import pytest
from hardware import PLATFORM

from inferd.testing import PlatformContract

pytestmark = pytest.mark.gpu


class TestContract(PlatformContract):
    plugin = "builtin" if PLATFORM == "cuda" else "hw_rocm"
    platform = PLATFORM

    def test_it_is_detected(self) -> None:
        """Without this, a platform that refuses the GPU would skip everything else."""
        verdict = self.implementation().detect()
        assert verdict, verdict.reason
