"""PUBLIC: one small contract per file. A plugin implements these; core calls them."""
