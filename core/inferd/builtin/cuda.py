"""CudaPlatform: one NVIDIA GPU, the first that CUDA_VISIBLE_DEVICES leaves."""

from __future__ import annotations

import torch

from inferd.contracts.torch_platform import TorchDevicePlatform
from inferd.contracts.verdict import YES, Verdict, no


class CudaPlatform(TorchDevicePlatform):
    """AMD's GPUs, which torch also calls cuda, are the platform rocm of the plugin hw_rocm."""

    name = "cuda"
    scheduler_defaults = {"max_num_seqs": 1024, "max_num_batched_tokens": 8192}

    @classmethod
    def detect(cls) -> Verdict:
        if torch.version.hip is not None:
            return no("this torch is built for AMD GPUs: pip install inferd-hw-rocm")
        if torch.version.cuda is None:
            return no("this torch is built without CUDA: see https://pytorch.org/get-started")
        if torch.cuda.device_count() == 0:
            return no("no NVIDIA GPU is visible: nvidia-smi and CUDA_VISIBLE_DEVICES tell why")
        return YES

    @property
    def architecture(self) -> str:
        major, minor = torch.cuda.get_device_capability(self.device)
        return f"sm_{major}{minor}"

    def preferred_dtype(self, checkpoint: torch.dtype) -> torch.dtype:
        """The checkpoint's own, halved where it is float32; float16 before Ampere."""
        if torch.cuda.get_device_capability(self.device) < (8, 0):
            return torch.float16
        return torch.bfloat16 if checkpoint == torch.float32 else checkpoint
