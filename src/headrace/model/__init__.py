"""Values that every layer shares: records, events, requests and outcomes."""
