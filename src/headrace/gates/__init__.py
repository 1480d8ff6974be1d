"""The gates: each of the promises as an experiment, which anyone can repeat on their own machine and disk."""
