"""Whom a limit per address counts as one: OWASP ASVS 5.0 2.4.1."""

from ipaddress import AddressValueError, IPv6Address
from typing import Final

SUBSCRIBER: Final = 64
"""Leading bits that stand for one subscriber at least (RFC 6177); the others are the subscriber's choice."""


def subscriber_of(host: str) -> str:
    """Return what a client's address has in common with all others that the same client may take.

    Args:
        host: an IPv4 or IPv6 address as a socket or a trusted proxy tells it; anything else stays as it is.
    """
    try:
        address = IPv6Address(host.partition("%")[0])
    except AddressValueError:
        return host
    if (mapped := address.ipv4_mapped) is not None:
        return str(mapped)
    kept = int(address) >> (128 - SUBSCRIBER) << (128 - SUBSCRIBER)
    return f"{IPv6Address(kept)}/{SUBSCRIBER}"
