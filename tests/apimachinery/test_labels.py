"""Label selectors: what they match, how they are written, what they refuse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimachinery import labels
from apimachinery.labels import Requirement, Selector

WEB = {"app": "web", "tier": "front", "n": "5"}

MATCHES = [
    ("", True),
    ("app=web", True),
    ("app==web,tier=front", True),
    ("app!=web", False),
    ("missing!=web", True),
    ("app in (web, api)", True),
    ("app notin (web)", False),
    ("missing notin (web)", True),
    ("app", True),
    ("!app", False),
    ("! missing", True),
    ("n>4,n<6", True),
    ("n>5", False),
    ("app>5", False),
    ("missing>5", False),
    ("app=web,app=api", False),
    ("app=", False),
]


@pytest.mark.parametrize(("text", "expected"), MATCHES)
def test_parsed_selector_matches(text: str, expected: bool) -> None:
    assert labels.parse(text).matches(WEB) is expected


@pytest.mark.parametrize(
    "text", ["a=b,", ",", "a b", "a=b c", "!", "a in x", "(a)", "a in (x", "-a=b", "a>b", "a/b/c", "a=-"]
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unable to parse requirement"):
        labels.parse(text)


def test_equalities_are_what_an_index_can_answer() -> None:
    selector = labels.parse("app=web,tier in (front),x!=y,z")
    assert selector.equalities == {"app": "web", "tier": "front"}


def test_label_selector_objects() -> None:
    assert not labels.from_label_selector(None).matches({})
    assert labels.from_label_selector({}).matches({})
    selector = labels.from_label_selector(
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["front", "x"]}],
        }
    )
    assert selector.matches(WEB)
    assert str(selector) == "app=web,tier in (front,x)"
    with pytest.raises(ValueError, match="not a valid label selector operator"):
        labels.from_label_selector({"matchExpressions": [{"key": "a", "operator": "Like"}]})
    with pytest.raises(ValueError, match="must be given"):
        labels.from_label_selector({"matchExpressions": [{"key": "a", "operator": "In"}]})


def test_a_services_empty_selector_matches_nothing() -> None:
    assert not labels.from_labels({}).matches({"a": "b"})
    assert labels.from_labels({"app": "web"}).matches(WEB)


keys = st.from_regex(r"[a-z][a-z0-9]{0,5}(/[a-z]{1,3})?", fullmatch=True)
values = st.from_regex(r"([a-z0-9]{1,4})?", fullmatch=True)
requirements = st.one_of(
    st.builds(
        Requirement,
        keys,
        st.sampled_from(["In", "NotIn"]),
        st.lists(values, min_size=1, max_size=3, unique=True).map(tuple),
    ),
    st.builds(Requirement, keys, st.sampled_from(["Exists", "DoesNotExist"])),
    st.builds(Requirement, keys, st.sampled_from(["Gt", "Lt"]), st.integers(-9, 99).map(lambda n: (str(n),))),
)
selectors = st.lists(requirements, max_size=4).map(lambda listed: Selector(tuple(listed)))


@given(selectors, st.dictionaries(keys, values, max_size=4))
def test_written_selector_means_the_same_when_read(selector: Selector, given_labels: dict[str, str]) -> None:
    assert labels.parse(str(selector)).matches(given_labels) is selector.matches(given_labels)


@given(selectors, st.dictionaries(keys, values, max_size=4))
def test_a_selector_is_the_conjunction_of_its_requirements(selector: Selector, given_labels: dict[str, str]) -> None:
    assert selector.matches(given_labels) is all(each.matches(given_labels) for each in selector.requirements)


@given(st.text(alphabet="ab =!(),<>/.-in", max_size=30))
def test_any_text_parses_or_raises_value_error(text: str) -> None:
    try:
        labels.parse(text)
    except ValueError:
        pass


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("app in", "found '' expected: '('"),
        ("app in x", "found 'x' expected: '('"),
        ("app in (a", "found '', expected: ',' or ')'"),
        ("app ? x", "found '?', expected: in, notin, =, ==, !=, gt, lt"),
        ("=x", "found '=', expected: !, identifier, or 'end of string'"),
        ("!", "found '', expected: identifier"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
    ],
)
def test_what_can_not_be_read_is_said_as_clients_know_it(text: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        labels.parse(text)
    assert str(caught.value) == f"unable to parse requirement: {why}"
