"""Kernels in Triton's interpreter: a pytest process of its own, with TRITON_INTERPRET=1."""

from __future__ import annotations

import os

if os.environ.get("TRITON_INTERPRET") == "1":
    from inferd.testing.kernels.interpreter import install

    install()
else:
    collect_ignore_glob = ["test_*.py"]
