"""A client that comes back by itself: what the shell's commands for topics and streams stand on."""
