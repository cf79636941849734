"""The command line for administrators: init, join, reset, and clusters of node containers."""
