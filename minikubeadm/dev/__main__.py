"""`python -m minikubeadm.dev`: the command alone, without the modules of the others: it loads in half the time."""

from minikubeadm.dev.commands import dev

if __name__ == "__main__":
    dev(prog_name="minikubeadm dev")
