"""Enforces the policy on web traffic: a mitmproxy addon, the server that embeds it, and the block page."""
