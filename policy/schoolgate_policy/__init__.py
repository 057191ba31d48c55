"""The policy: what decides. A pure core (`Engine.decide`) and, around it, the reading of policy.yaml."""
