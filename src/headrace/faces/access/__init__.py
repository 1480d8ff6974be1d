"""Who may do what: keys, tickets, sessions, and their limits."""
