"""Public helpers for tests: a clock that stands still, and the contract that every store keeps."""
