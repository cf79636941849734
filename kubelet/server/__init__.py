"""The kubelet's own API on port 10250: logs, exec, attach, port-forward, pods, metrics."""
