"""The probe: asks the running filter what it promises, from each network, and has the portal keep what it found."""
