"""Clusters of node containers on one machine: each node a Docker container that runs systemd, in which `minikubeadm
init` or `join` is run as on any other machine. What a cluster is, Docker knows: labels on containers and networks.
"""
