"""What the server knows about objects: strategies per kind, and the flows that create, change and delete them."""
