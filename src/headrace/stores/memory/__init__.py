"""Everything in memory: for tests, for one process, and the reference of what stores mean."""
