"""Registers the ops of a model in Triton."""
