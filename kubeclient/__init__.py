"""Talking to an API server: kubeconfig, REST, watch, informers, work queues, leader election, events."""
