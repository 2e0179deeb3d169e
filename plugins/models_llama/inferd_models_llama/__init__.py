"""inferd plugin: the Llama family."""
