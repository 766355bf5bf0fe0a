"""SQLite: one file for all processes of one machine."""
