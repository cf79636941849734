"""Which representation an Accept header asks for."""

import pytest

from apiserver.endpoints.negotiation import _negotiate, accepted

KUBECTL = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)


@pytest.mark.parametrize(
    ("header", "form", "version"),
    [
        ("*/*", "", ""),
        ("application/json", "", ""),
        (KUBECTL, "Table", "v1"),
        ("application/json;as=Table;v=v2;g=meta.k8s.io,application/json", "", ""),
        ("application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json", "", ""),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "PartialObjectMetadataList", "v1"),
        ("application/json;q=0.5,application/json;as=Table;v=v1;g=meta.k8s.io", "Table", "v1"),
    ],
)
def test_what_is_chosen(header: str, form: str, version: str) -> None:
    chosen = _negotiate(header)
    assert chosen is not None
    assert (chosen.form, chosen.version) == (form, version)


@pytest.mark.parametrize("header", ["application/vnd.kubernetes.protobuf", "text/html", "application/json;q=0"])
def test_what_is_not_acceptable(header: str) -> None:
    assert _negotiate(header) is None


def test_alternatives_come_by_quality_then_order() -> None:
    assert [each.type for each in accepted("a/a;q=0.1, b/b, c/c;q=0.9, d/d")] == ["b/b", "d/d", "c/c", "a/a"]
