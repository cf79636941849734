"""Pod networking: CNI plugins for the pod's own interface, VXLAN between nodes, masquerading out of the cluster."""
