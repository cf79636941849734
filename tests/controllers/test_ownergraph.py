"""The owner graph: what is to be looked at after each change, and its invariants under random changes."""

from hypothesis import given
from hypothesis import strategies as st

from apimachinery import kinds
from controllers.ownergraph import FOREGROUND, ORPHAN, Graph


def config_map(uid, *owners, finalizers=(), deleting=False, namespace="default", blocking=True):
    metadata = {"name": uid, "namespace": namespace, "uid": uid, "finalizers": list(finalizers)}
    metadata["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": own, "uid": own, "blockOwnerDeletion": blocking}
        for own in owners
    ]
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": metadata}


def observe(graph, *arguments, **more):
    return graph.observe(kinds.CONFIG_MAP, config_map(*arguments, **more))


def test_an_owner_not_seen_yet_is_virtual_and_looked_up():
    graph = Graph()
    assert observe(graph, "child", "owner").examine == ["owner"]
    assert graph.get("owner").virtual
    assert observe(graph, "owner").examine == []
    assert not graph.get("owner").virtual


def test_a_virtual_owner_that_nobody_names_any_more_is_forgotten():
    graph = Graph()
    observe(graph, "child", "owner")
    observe(graph, "child")
    assert graph.get("owner") is None


def test_a_deletion_has_the_dependents_looked_at():
    graph = Graph()
    observe(graph, "owner")
    observe(graph, "child", "owner")
    assert graph.forget("owner").examine == ["child"]
    assert graph.is_absent("owner")


def test_foreground_waits_for_blocking_dependents():
    graph = Graph()
    observe(graph, "owner")
    observe(graph, "child", "owner")
    observe(graph, "loose", "owner", blocking=False)
    todo = observe(graph, "owner", finalizers=[FOREGROUND], deleting=True)
    assert sorted(todo.examine) == ["child", "loose", "owner"]
    assert [each.uid for each in graph.blocking(graph.get("owner"))] == ["child"]
    assert graph.forget("child").examine == ["owner"]
    assert graph.blocking(graph.get("owner")) == []


def test_a_dependent_that_stops_blocking_frees_its_owner():
    graph = Graph()
    observe(graph, "owner", finalizers=[FOREGROUND], deleting=True)
    observe(graph, "child", "owner")
    assert observe(graph, "child", "owner", blocking=False).examine == ["owner"]


def test_a_dependent_of_an_owner_in_foreground_deletion_is_looked_at():
    graph = Graph()
    observe(graph, "owner", finalizers=[FOREGROUND], deleting=True)
    assert observe(graph, "late", "owner").examine == ["late"]


def test_orphaning_is_asked_for_once():
    graph = Graph()
    assert observe(graph, "owner", finalizers=[ORPHAN], deleting=True).orphan == ["owner"]
    assert observe(graph, "owner", finalizers=[ORPHAN], deleting=True).orphan == []


def test_a_reference_across_namespaces_is_not_true():
    graph = Graph()
    observe(graph, "child", "owner", namespace="other")
    todo = observe(graph, "owner")
    assert todo.examine == ["child"]
    assert not graph.fits(graph.get("child"), graph.get("owner"))


UIDS = st.sampled_from("abcde")


@given(st.lists(st.tuples(UIDS, st.sets(UIDS, max_size=3), st.booleans())))
def test_dependents_are_exactly_those_that_refer(changes):
    graph, present = Graph(), {}
    for uid, owners, remove in changes:
        if remove:  # with all that refers to it, as the collector does
            gone = [uid]
            for each in gone:
                gone += [other for other, named in present.items() if each in named and other not in gone]
            for each in gone:
                graph.forget(each)
                present.pop(each, None)
        else:
            observe(graph, uid, *sorted(owners - {uid}))
            present[uid] = owners - {uid}
    for uid in "abcde":
        node = graph.get(uid)
        referring = {each for each, owners in present.items() if uid in owners}
        assert {each.uid for each in node.dependents} == referring if node else not referring and uid not in present
