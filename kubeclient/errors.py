"""What can go wrong before an API server answers. Its answers are `apimachinery.errors`, by reason."""


class Unreachable(OSError):
    """No answer came: refused, reset, timed out, bad TLS. Whether a write was done is then unknown."""


class ConfigError(ValueError):
    """A kubeconfig that can't be used, with the file and what is wrong in it."""


class LeadershipLost(RuntimeError):
    """The lease could not be renewed in time: someone else may lead now, so this process must end."""
