"""The engine: scheduling, submission and collection of steps, and the faces callers use."""
