"""Registers paged attention in Triton."""
