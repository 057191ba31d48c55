"""Lists of hosts from files and from the web: read, checked, compiled, and kept."""
