"""What runs as pods in every cluster: manifests beside this file, with the cluster's own values filled in."""

import string
from pathlib import Path
from typing import Any

import yaml

from minikubeadm.configuration import ClusterConfiguration

JSON = dict[str, Any]


def dns(cluster: ClusterConfiguration) -> list[JSON]:
    """The cluster's DNS: ServiceAccount, role, Deployment, and the Service at the address that pods are told."""
    values = {"image": cluster.dns_image, "domain": cluster.domain, "address": cluster.dns_service_ip}
    return _documents("dns.yaml", values)


def storage() -> list[JSON]:
    """The default StorageClass: directories of nodes."""
    return _documents("storage.yaml", {})


def _documents(file: str, values: dict[str, str]) -> list[JSON]:
    text = string.Template((Path(__file__).parent / file).read_text()).substitute(values)
    return [document for document in yaml.safe_load_all(text) if document]
