"""Re-framing: lines of NDJSON, blocks of one size, and text with its progress, out of chunks as they come.

Each takes an asynchronous or an ordinary iterable and is an asynchronous generator; for ordinary ones that block, hand
their result to a plain generator of yours instead, or use the sans-I/O parts.
"""
