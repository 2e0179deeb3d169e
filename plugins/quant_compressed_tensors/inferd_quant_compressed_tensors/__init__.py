"""compressed-tensors checkpoints for inferd."""
