"""Dialects as bytes: decoders and encoders without I/O, clock or network."""
