"""inferd plugin: paged attention in Triton."""
