"""KV memory: block pool, block tables and prefix cache (plain Python), and the cache tensors."""
