"""Loading: model sources, checkpoint formats, weights and tokenizers."""
