"""From a client's body to a Generation, and from its outputs to replies and events."""
