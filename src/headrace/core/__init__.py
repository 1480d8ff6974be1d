"""Streams, their generations and their readers; the ports that stores and upstreams implement."""
