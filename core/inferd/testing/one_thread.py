"""OneThread: a test class whose tests compute on one thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


class OneThread:
    """For matrices this small a second thread only waits, on a busy machine for seconds."""

    @pytest.fixture(autouse=True)
    def _one_thread(self) -> Iterator[None]:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(before)
