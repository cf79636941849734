"""An operator with kopf: a ConfigMap labelled `greet: please` is given a greeting."""

from typing import Any

import kopf


@kopf.on.login()
def login(**arguments: Any) -> kopf.ConnectionInfo | None:
    """By $KUBECONFIG as it is when the operator starts; the official client would read it when it is imported."""
    return kopf.login_with_kubeconfig(**arguments)


@kopf.on.create("configmaps", labels={"greet": "please"})
def greet(name: str | None, patch: kopf.Patch, **_: Any) -> None:
    """Hello."""
    patch["data"] = {"greeting": f"Hello, {name}!"}
