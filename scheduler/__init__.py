"""The scheduler: a queue of pods, a columnar picture of the nodes, asynchronous binding."""
