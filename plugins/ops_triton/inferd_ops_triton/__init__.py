"""inferd plugin: the ops of a model in Triton."""
