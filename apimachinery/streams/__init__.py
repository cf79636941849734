"""How exec, attach and port-forward are framed on the wire, without I/O: bytes in, events out, and back."""
