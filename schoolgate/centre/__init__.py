"""One portal for many schools: what it signs for their boxes, and how they reach it."""
