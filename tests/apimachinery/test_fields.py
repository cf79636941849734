"""Field selectors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimachinery import fields, kinds
from apimachinery.fields import FieldRequirement, FieldSelector


def test_terms_all_have_to_hold_and_absent_is_empty() -> None:
    selector = fields.parse("spec.nodeName=a,status.phase!=Running,,x==")
    assert selector.matches({"spec.nodeName": "a"})
    assert not selector.matches({"spec.nodeName": "a", "status.phase": "Running"})
    assert selector.exact("spec.nodeName") == "a"
    assert selector.exact("status.phase") is None


@pytest.mark.parametrize("text", ["a", "a=b=c", "a=b\\", "a=\\x", "a,b=c"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid selector"):
        fields.parse(text)


def test_fields_that_a_kind_does_not_select_by_are_named() -> None:
    selector = fields.parse("metadata.name=a,spec.nodeName=b,spec.foo=c")
    assert selector.unknown(kinds.POD.selectable) == "spec.foo"
    assert fields.parse("metadata.namespace=a").unknown(()) is None


@given(
    st.lists(
        st.builds(
            FieldRequirement,
            st.from_regex(r"[a-z.]{1,8}", fullmatch=True),
            st.sampled_from(["=", "!="]),
            st.text(max_size=6),
        ),
        max_size=4,
    )
)
def test_written_selector_reads_the_same(requirements: list[FieldRequirement]) -> None:
    selector = FieldSelector(tuple(requirements))
    assert fields.parse(str(selector)) == selector
