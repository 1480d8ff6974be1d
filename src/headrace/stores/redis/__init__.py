"""Redis or Valkey: for several machines."""
