"""The cluster's DNS server: names for Services and pods."""
