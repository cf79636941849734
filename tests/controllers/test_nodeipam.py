"""Pod ranges: equal parts of the cluster's, each given once, also after others were found taken."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.nodeipam import Ranges


def test_in_order_then_none():
    ranges = Ranges("10.244.0.0/22", 24)
    assert [ranges.take() for _ in range(5)] == [
        "10.244.0.0/24",
        "10.244.1.0/24",
        "10.244.2.0/24",
        "10.244.3.0/24",
        None,
    ]
    ranges.release("10.244.2.0/24")
    assert ranges.take() == "10.244.2.0/24"


def test_larger_and_foreign_ranges():
    ranges = Ranges("10.244.0.0/22", 24)
    assert ranges.occupy("10.244.0.0/23")
    assert not ranges.occupy("10.244.1.0/24"), "taken already"
    assert not ranges.occupy("10.96.0.0/16"), "outside"
    assert not ranges.occupy("fd00::/64")
    assert ranges.take() == "10.244.2.0/24"


def test_a_mask_larger_than_the_cluster_is_refused():
    with pytest.raises(ValueError, match="node mask size"):
        Ranges("10.244.0.0/24", 16)


def test_ipv6():
    ranges = Ranges("fd00:10:244::/56", 64)
    assert [ranges.take(), ranges.take()] == ["fd00:10:244::/64", "fd00:10:244:1::/64"]


@given(st.lists(st.one_of(st.just("take"), st.integers(0, 15))))
def test_no_range_is_given_twice(operations):
    ranges, held = Ranges("10.0.0.0/20", 24), set()
    for operation in operations:
        if operation == "take":
            cidr = ranges.take()
            assert (cidr is None) == (len(held) == 16)
            if cidr:
                assert cidr not in held
                held.add(cidr)
        else:
            cidr = f"10.0.{operation}.0/24"
            if cidr in held:
                held.discard(cidr)
                ranges.release(cidr)
            else:
                assert ranges.occupy(cidr)
                held.add(cidr)
    assert all(ipaddress.ip_network(cidr) for cidr in held)
