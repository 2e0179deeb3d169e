"""FP8 checkpoints for inferd, and FP8 weights made while loading."""
