"""gpt-oss checkpoints in MXFP4 for inferd."""
