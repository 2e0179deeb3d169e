"""Discovery and selection of plugins, and the choice among what they offer."""
