"""How many threads are worth waking."""

from __future__ import annotations

import torch

FEW = 16  # tokens up to which one thread is done before another would have begun


def threads_for(tokens: int) -> int:
    return 1 if tokens <= FEW else torch.get_num_threads()
