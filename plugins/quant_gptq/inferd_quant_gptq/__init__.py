"""GPTQ checkpoints for inferd."""
