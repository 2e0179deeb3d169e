"""SqueezeLLM checkpoints for inferd."""
