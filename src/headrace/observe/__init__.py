"""What operators see: metrics, logs and traces. Nobody below knows of it."""
