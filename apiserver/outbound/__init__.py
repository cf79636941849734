"""The API server as a client: of kubelets, of pods and Services that it proxies to."""
