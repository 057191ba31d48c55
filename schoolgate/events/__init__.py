"""Events on their way from dns and proxy to the portal: wire form, sender, receiver."""
