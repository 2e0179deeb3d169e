"""What layers are built from."""

from __future__ import annotations

import pytest
import torch

from inferd.contracts.loader import RawTensor
from inferd.testing.drive import build_context


@pytest.fixture
def build():
    """A BuildContext from the fields of a config.json."""

    def build(max_model_len=32, dtype=torch.float32, **hf):
        return build_context(hf, max_model_len=max_model_len, vocab_size=10, dtype=dtype)

    return build


@pytest.fixture
def raw():
    """A checkpoint tensor of any values."""

    def raw(name, *shape):
        data = torch.randn(shape, generator=torch.Generator().manual_seed(len(name)))
        return RawTensor(name, shape, "float32", data)

    return raw
