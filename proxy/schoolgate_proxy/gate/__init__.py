"""The gate: decides on a connection before mitmproxy sees it, and relays in the kernel what is not to be opened."""
