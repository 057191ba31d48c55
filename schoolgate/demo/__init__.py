"""A school day on loopback: the real sinkhole and proxy, a clock that is set, and a stand-in for the internet."""
