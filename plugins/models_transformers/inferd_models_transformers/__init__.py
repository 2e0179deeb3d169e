"""inferd plugin: any causal language model of transformers, through its attention interface."""
