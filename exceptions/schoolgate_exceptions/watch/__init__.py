"""Watching: events folded into attempts, scored, stored, told of, and looked at."""
