"""Faults for a cluster of node containers: made on purpose, always undone, and told as a timeline."""
