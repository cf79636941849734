"""The node agent: runs the pods bound to its node as Docker containers and reports their status."""
