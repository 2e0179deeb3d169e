"""RocmPlatform: one AMD GPU, the first that HIP_VISIBLE_DEVICES leaves."""

from __future__ import annotations

import torch

from inferd.contracts.torch_platform import TorchDevicePlatform
from inferd.contracts.verdict import YES, Verdict, no


class RocmPlatform(TorchDevicePlatform):
    """torch built for ROCm calls the device cuda, and records HIP graphs as CUDAGraph."""

    name = "rocm"
    scheduler_defaults = {"max_num_seqs": 1024, "max_num_batched_tokens": 8192}

    @classmethod
    def detect(cls) -> Verdict:
        if torch.version.hip is None:
            return no("this torch is built without ROCm: see https://pytorch.org/get-started")
        if torch.cuda.device_count() == 0:
            return no("no AMD GPU is visible: rocminfo and HIP_VISIBLE_DEVICES tell why")
        return YES

    @property
    def architecture(self) -> str:
        """As 'gfx942': without the features of 'gfx942:sramecc+:xnack-'."""
        return torch.cuda.get_device_properties(self.device).gcnArchName.split(":")[0]

    def preferred_dtype(self, checkpoint: torch.dtype) -> torch.dtype:
        """The checkpoint's own, halved where it is float32: gfx90a and gfx942 multiply bfloat16."""
        return torch.bfloat16 if checkpoint == torch.float32 else checkpoint
