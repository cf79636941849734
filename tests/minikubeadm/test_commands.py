"""Options of `minikubeadm cluster` that cannot be meant: said before anything is made."""

import pytest
from click.testing import CliRunner

from minikubeadm.cluster.commands import cluster


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pod-network-cidr", "999.1.1.0/16"], "'999.1.1.0/16' is not an IPv4 range like 10.244.0.0/16"),
        (["--service-cidr", "10.96.0.1/16"], "has host bits set"),
        (["--pod-network-cidr", "10.0.0.0/30"], "must be at least a /24"),
        (["--name", "Bad_Name"], "is not a DNS label"),
    ],
)
def test_bad_options_are_named(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(cluster, ["create", *arguments])
    assert result.exit_code == 2
    assert words in result.output
