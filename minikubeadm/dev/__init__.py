"""A control plane without nodes on one machine: etcd, API server, scheduler and controllers as plain processes.

For writing and testing what talks to an API server: it is there in a second or two and gone with the command. Flags,
certificates and kubeconfigs are those of a node (`minikubeadm.units`, `componentbase.pkilayout`), in a directory of
its own, on loopback, on ports that were free. Pods are admitted, scheduled and counted as anywhere, but no kubelet
runs them.
"""
