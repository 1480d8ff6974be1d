"""Live topics."""
