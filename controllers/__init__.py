"""The control loops: each watches, compares, and writes through the API server."""
