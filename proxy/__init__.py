"""The Service proxy: turns Services and EndpointSlices into iptables rules on every node."""
