"""The bodies that clients send: strict pydantic models with a bound on every field."""
