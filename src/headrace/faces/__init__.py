"""HTTP in and out: one module for each protocol that clients speak."""
