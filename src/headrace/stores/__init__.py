"""Engines that keep streams: each one implements the log port."""
