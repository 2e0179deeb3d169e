"""Scheduling: pure Python state machines, no tensors. See `scheduler`."""
