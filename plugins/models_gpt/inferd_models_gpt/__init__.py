"""inferd plugin: the GPT family: GPT-2, GPT-J, GPT-NeoX, OPT and StarCoder 2."""
