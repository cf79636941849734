"""JSONPath templates as kubectl reads them."""

from typing import Any

import pytest

from minikubectl import jsonpath

NODES: Any = {
    "kind": "List",
    "items": [
        {
            "metadata": {"name": "a", "labels": {"kubernetes.io/os": "linux"}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "X", "status": "False"}], "n": 1},
        },
        {"metadata": {"name": "b"}, "status": {"conditions": [{"type": "Ready", "status": "False"}], "n": 2}},
    ],
}


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("{.kind}", "List"),
        ("{.items[*].metadata.name}", "a b"),
        ("{.items[0].metadata.name}", "a"),
        ("{.items[-1].metadata.name}", "b"),
        ("{.items[0:1].metadata.name}", "a"),
        ("{.items[5].metadata.name}", ""),
        ('{range .items[*]}{.metadata.name}{"\\t"}{.status.n}{"\\n"}{end}', "a\t1\nb\t2\n"),
        ('{.items[*].status.conditions[?(@.type=="Ready")].status}', "True False"),
        ("{.items[?(@.status.n>1)].metadata.name}", "b"),
        ("{.items[?(@.metadata.labels)].metadata.name}", "a"),
        ("{.items[0].metadata.labels.kubernetes\\.io/os}", "linux"),
        ("{.items[0].metadata.labels['kubernetes.io/os']}", "linux"),
        ("{..name}", "a b"),
        ("name={.items[0].metadata.name}!", "name=a!"),
        ("{.items[0].metadata.labels}", '{"kubernetes.io/os":"linux"}'),
        ("{$.kind}{@.kind}", "ListList"),
        ("{.missing}", ""),
    ],
)
def test_a_template_renders(template: str, rendered: str) -> None:
    assert jsonpath.compile(template).render(NODES) == rendered


@pytest.mark.parametrize("template", ["{.a", "{end}", "{.a[x]}", "{.a[?(%%)]}"])
def test_a_senseless_template_is_refused(template: str) -> None:
    with pytest.raises(jsonpath.TemplateError):
        jsonpath.compile(template)


def test_paths_may_lack_braces_and_dot() -> None:
    assert jsonpath.find("kind", NODES) == jsonpath.find("{.kind}", NODES) == ["List"]
