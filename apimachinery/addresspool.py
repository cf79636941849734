"""A pool of IPv4 addresses as users write it, for Services of type LoadBalancer."""

import ipaddress
from collections.abc import Collection, Iterator


class Pool:
    """The addresses to give: `10.0.0.0/28` (first and last left out), `10.0.0.5-10.0.0.9`, or several with commas."""

    def __init__(self, text: str) -> None:
        """Raises ValueError that says which part is no range."""
        self.text = text
        self._ranges = [_range(part.strip()) for part in text.split(",") if part.strip()]

    def __contains__(self, address: str) -> bool:
        try:
            number = int(ipaddress.IPv4Address(address))
        except ValueError:
            return False
        return any(first <= number <= last for first, last in self._ranges)

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def free(self, taken: Collection[str]) -> str | None:
        """The first address that is not taken."""
        every = (str(ipaddress.IPv4Address(number)) for number in self._numbers())
        return next((address for address in every if address not in taken), None)

    def _numbers(self) -> Iterator[int]:
        for first, last in self._ranges:
            yield from range(first, last + 1)


def _range(part: str) -> tuple[int, int]:
    if "-" in part:
        low, _, high = part.partition("-")
        first, last = int(ipaddress.IPv4Address(low.strip())), int(ipaddress.IPv4Address(high.strip()))
    else:
        network = ipaddress.IPv4Network(part)
        first, last = int(network.network_address), int(network.broadcast_address)
        if network.prefixlen < 31:
            first, last = first + 1, last - 1
    if last < first:
        raise ValueError(f"{part}: ends before it begins")
    return first, last
