"""Pages, tables and states as people read them."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apimachinery import yamls
from minikubectl.describing_pods import describe_pod
from minikubectl.output import to_yaml
from minikubectl.pages import Page, words
from minikubectl.readiness import pod_trouble, rollout, state_of
from minikubectl.tables import Layout, Printer


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("clusterIP", "Cluster IP"),
        ("clusterIPs", "Cluster IPs"),
        ("creationTimestamp", "Creation Timestamp"),
        ("uid", "UID"),
        ("podCIDRs", "Pod CIDRs"),
        ("apiVersion", "API Version"),
        ("app.kubernetes.io/name", "app.kubernetes.io/name"),
    ],
)
def test_field_names_become_words(key: str, said: str) -> None:
    assert words(key) == said


def test_fields_are_nested_and_aligned() -> None:
    page = Page()
    page.fields({"spec": {"type": "x", "clusterIP": "1.2.3.4", "ports": [{"port": 80}], "empty": {}}})
    assert page.text() == "Spec:\n  Cluster IP:  1.2.3.4\n  Ports:\n    Port:  80\n  Type:        x\n"


TABLE: Any = {
    "columnDefinitions": [{"name": "Name"}, {"name": "Ready"}, {"name": "Node", "priority": 1}],
    "rows": [
        {"cells": ["web-1", "1/1", "n1"], "object": {"metadata": {"namespace": "a", "labels": {"app": "web"}}}},
        {"cells": ["b", None, "n2"], "object": {"metadata": {"namespace": "b"}}},
    ],
}


@pytest.mark.parametrize(
    ("layout", "lines"),
    [
        (Layout(), ["NAME    READY", "web-1   1/1", "b       <none>"]),
        (Layout(wide=True), ["NAME    READY    NODE", "web-1   1/1      n1", "b       <none>   n2"]),
        (
            Layout(namespace=True, kind="pod"),
            ["NAMESPACE   NAME        READY", "a           pod/web-1   1/1", "b           pod/b       <none>"],
        ),
        (
            Layout(labels=True, label_columns=("app",)),
            ["NAME    READY    APP   LABELS", "web-1   1/1      web   app=web", "b       <none>         <none>"],
        ),
    ],
)
def test_tables_are_laid_out_as_kubectl_does(layout: Layout, lines: list[str]) -> None:
    assert Printer(layout).lines(TABLE) == lines


def test_further_rows_of_a_watch_keep_the_columns() -> None:
    printer = Printer(Layout())
    printer.lines(TABLE)
    assert printer.lines({"rows": [{"cells": ["x", "0/1", ""]}]}) == ["x       0/1"]


def deployment(generation: int = 1, **status: Any) -> Any:
    return {
        "kind": "Deployment",
        "metadata": {"name": "web", "generation": generation},
        "spec": {"replicas": 3},
        "status": {"observedGeneration": 1, **status},
    }


@pytest.mark.parametrize(
    ("obj", "done", "text"),
    [
        (deployment(2), False, "Waiting for deployment spec update to be observed..."),
        (
            deployment(updatedReplicas=1),
            False,
            'Waiting for deployment "web" rollout to finish: 1 out of 3 new replicas have been updated...',
        ),
        (
            deployment(updatedReplicas=3, replicas=4),
            False,
            'Waiting for deployment "web" rollout to finish: 1 old replicas are pending termination...',
        ),
        (
            deployment(updatedReplicas=3, replicas=3, availableReplicas=2),
            False,
            'Waiting for deployment "web" rollout to finish: 2 of 3 updated replicas are available...',
        ),
        (
            deployment(updatedReplicas=3, replicas=3, availableReplicas=3),
            True,
            'deployment "web" successfully rolled out',
        ),
    ],
)
def test_rollouts_are_told_in_kubectls_words(obj: Any, done: bool, text: str) -> None:
    state = rollout(obj)
    assert (state.done, state.text) == (done, text)


def test_a_rollout_that_got_stuck_has_failed() -> None:
    stuck = deployment(conditions=[{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}])
    assert rollout(stuck).failed
    assert rollout(stuck).text == 'deployment "web" exceeded its progress deadline'


def pod(**status: Any) -> Any:
    return {
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "d"},
        "spec": {"containers": [{"name": "c"}]},
        "status": status,
    }


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        ({"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
        (
            {"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}]},
            "c ErrImagePull: no",
        ),
        ({"containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 3}}}]}, "c ended with exit code 3"),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]},
            "0/3 nodes are available",
        ),
    ],
)
def test_a_pod_says_what_is_wrong(status: Any, trouble: str) -> None:
    assert pod_trouble(pod(**status)) == trouble


def test_states_of_applied_objects() -> None:
    assert state_of({"kind": "ConfigMap"}).done
    assert not state_of(pod(phase="Pending")).done
    assert state_of(pod(phase="Running", conditions=[{"type": "Ready", "status": "True"}])).done
    assert state_of(pod(phase="Failed")).failed
    assert state_of({"kind": "PersistentVolumeClaim", "status": {"phase": "Bound"}}).done


def test_the_page_of_a_pod_has_its_containers() -> None:
    page = Page()
    described = pod(
        phase="Running",
        containerStatuses=[{"name": "c", "ready": True, "restartCount": 2, "state": {"running": {"startedAt": "T"}}}],
    )
    described["spec"]["containers"][0] |= {"image": "i", "env": [{"name": "A", "value": "b"}]}
    describe_pod(described, page)
    text = page.text()
    for line in ("  c:", "    Image:          i", "    State:          Running", "    Restart Count:  2"):
        assert line in text.splitlines()
    assert "A: b" in text


QUOTED = ("y", "No", "on", "true", "~", "", "1", "1e3", "0o17", "1:30", "2001-01-01", ".5", "08", "0x1f", "1_000")
PLAIN = ("web", "1.2.3.4", "1e", "=", "x:y", "tRue", "http://a/b?c=d")


@pytest.mark.parametrize("text", [*QUOTED, *PLAIN])
def test_texts_are_quoted_where_kubectl_quotes_them(text: str) -> None:
    assert to_yaml({"a": text}) == (f'a: "{text}"\n' if text in QUOTED else f"a: {text}\n")


def test_numbers_booleans_and_null_are_plain() -> None:
    assert to_yaml({"a": 2, "b": 2.5, "c": True, "d": None}) == "a: 2\nb: 2.5\nc: true\nd: null\n"


@given(st.text())
@example("a\n\n")
def test_what_is_printed_is_read_back_as_it_was(text: str) -> None:
    printed = to_yaml({"a": text, text: "b"})
    assert yamls.load(printed) == {"a": text, text: "b"}
    assert not printed.endswith("...\n")
