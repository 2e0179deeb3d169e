"""Paged attention in Triton, for NVIDIA and AMD."""
