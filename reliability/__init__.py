"""Real deployments on this machine: SuperLink with TLS, authenticated SuperNodes, and faults."""
