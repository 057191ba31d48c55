"""A box under a centre: takes its signed policy, keeps the last good one, and sends its events."""
