"""inferd plugin: mixtures of experts: Mixtral, Qwen2-MoE and Qwen3-MoE."""
