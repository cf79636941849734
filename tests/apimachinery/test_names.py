"""Names: what passes, and the words for what doesn't."""

import pytest

from apimachinery import names

CASES = [
    (names.dns1123_label, "a-1", True),
    (names.dns1123_label, "A", False),
    (names.dns1123_label, "a.b", False),
    (names.dns1123_label, "a" * 64, False),
    (names.dns1123_subdomain, "a.b-c.d", True),
    (names.dns1123_subdomain, "a..b", False),
    (names.dns1123_subdomain, "", False),
    (names.dns1035_label, "1a", False),
    (names.label_value, "", True),
    (names.label_value, "A_b.c", True),
    (names.label_value, "-a", False),
    (names.qualified_name, "example.com/My_Name", True),
    (names.qualified_name, "a/b/c", False),
    (names.qualified_name, "/a", False),
    (names.qualified_name, "a/", False),
    (names.path_segment, "system:node", True),
    (names.path_segment, "a/b", False),
    (names.path_segment, "..", False),
    (names.port_name, "http-1", True),
    (names.port_name, "a--b", False),
    (names.port_name, "123", False),
    (names.port_name, "a" * 16, False),
    (names.config_map_key, "a/b", False),
    (names.config_map_key, "key.name", True),
]


@pytest.mark.parametrize(("check", "value", "passes"), CASES)
def test_names_are_checked(check: names.Check, value: str, passes: bool) -> None:
    assert (check(value) == []) is passes


def test_message_has_examples_and_the_expression() -> None:
    (message,) = names.dns1123_subdomain("A_b")
    assert message == (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
        "characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
        "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    )
    assert "(e.g. 'my-name',  or '123-abc', regex" in names.dns1123_label("A")[0]
