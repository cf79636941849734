"""The API server: REST and watch over etcd."""
