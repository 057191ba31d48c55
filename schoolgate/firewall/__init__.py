"""The firewall of the box: one nftables ruleset from the policy's networks and the box's settings, and its evidence."""
