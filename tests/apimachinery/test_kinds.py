"""The table of kinds is consistent with itself and with the official definitions."""

import pytest

from apimachinery import definitions, kinds
from apimachinery.kinds import GVK, KINDS, Kind


def test_names_are_unique() -> None:
    assert len({(each.group, each.plural) for each in KINDS}) == len(KINDS)
    assert len({(each.group, each.kind) for each in KINDS}) == len(KINDS)
    short = [name for each in KINDS for name in each.short_names if each is not kinds.EVENT]
    assert len(set(short)) == len(short)


@pytest.mark.parametrize("kind", KINDS, ids=lambda each: each.resource)
def test_every_version_has_a_definition_and_a_way_back(kind: Kind) -> None:
    for version in kind.versions:
        gvk = GVK(kind.group, version, kind.kind)
        assert definitions.definition(gvk)["type"]
        assert kinds.by_gvk(gvk) is kind
    assert kinds.by_resource(kind.group, kind.plural) is kind
    assert kinds.named(kind.kind, kind.group) is kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda each: each.resource)
def test_stored_kinds_with_a_status_say_so(kind: Kind) -> None:
    properties = definitions.definition(kind.gvk)["properties"]
    if any(each.name == "status" for each in kind.subresources):
        assert "status" in properties
    elif kind.stored and kind not in (kinds.COMPONENT_STATUS, kinds.CSI_NODE):  # alpha in CSINode
        assert "status" not in properties


def test_every_stable_definition_of_the_groups_has_a_row() -> None:
    groups = {each.group for each in KINDS}
    options = {"APIGroup", "APIVersions", "Status", "DeleteOptions", "WatchEvent", "Scale", "TokenRequest"}
    for gvk in definitions._published()[1]:
        if gvk.group in groups and gvk.version in ("v1", "v2") and not gvk.kind.endswith("List"):
            assert gvk.kind in options or kinds.by_gvk(gvk)


def test_rows_read_as_discovery_needs_them() -> None:
    assert kinds.POD.registry_prefix == "/registry/pods/"
    assert kinds.DEPLOYMENT.registry_prefix == "/registry/apps/deployments/"
    assert kinds.EVENT.registry_prefix == kinds.CORE_EVENT.registry_prefix == "/registry/events/"
    assert kinds.DEPLOYMENT.resource == "deployments.apps"
    assert kinds.DEPLOYMENT.api_version == "apps/v1"
    assert kinds.HORIZONTAL_POD_AUTOSCALER.versions == ("v2", "v1")
    assert kinds.named("Event") is kinds.CORE_EVENT
    of_pods = {each.name: each for each in kinds.POD.subresources}
    assert of_pods["eviction"].gvk == GVK("policy", "v1", "Eviction")
    attach = of_pods["attach"]
    assert (attach.gvk.kind, attach.verbs) == ("PodAttachOptions", ("create", "get"))
    assert not kinds.TOKEN_REVIEW.stored


def test_gvk_of_api_version() -> None:
    assert GVK.of("apps/v1", "Deployment") == ("apps", "v1", "Deployment")
    assert GVK.of("v1", "Pod").api_version == "v1"
