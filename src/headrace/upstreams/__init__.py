"""Model providers: each one implements the upstream port."""
