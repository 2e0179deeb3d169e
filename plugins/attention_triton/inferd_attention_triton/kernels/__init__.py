"""The kernels; only these modules import triton."""
