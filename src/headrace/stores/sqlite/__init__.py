"""SQLite in a data folder: for one machine, and any number of workers."""
