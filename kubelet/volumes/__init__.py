"""Volumes: what a pod's spec asks for, as directories on the node that its containers mount."""
