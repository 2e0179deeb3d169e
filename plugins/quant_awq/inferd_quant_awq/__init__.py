"""AWQ checkpoints for inferd."""
