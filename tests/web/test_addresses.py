"""Limits per address count a subscriber as one, however many addresses the subscriber has."""

import pytest

from live.addresses import subscriber_of
from tests.kit.server import MadoiServer


@pytest.mark.parametrize(
    ("host", "subscriber"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::7", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("a.name", "a.name"),
    ],
)
def test_addresses_of_one_subscriber_are_one(host, subscriber):
    assert subscriber_of(host) == subscriber


def test_asvs_2_4_1_another_address_of_the_same_subscriber_is_no_fresh_start(tmp_path):
    """A trusted proxy on this machine tells who asks."""
    server = MadoiServer(tmp_path / "data", limits_entries="2", limits_attempts="2").start()
    try:
        made = server.make_session()

        def enters(host, ticket):
            body = {"ticket": ticket, "name": "甲"}
            return server.ask(
                "POST", f"/api/sessions/{made.id}/enter", body, None, X_Forwarded_For=host
            ).status_code

        shared = made.ticket("attendee")
        assert [enters(f"2001:db8:1:2::{n}", shared) for n in range(4)] == [200, 200, 429, 429]
        assert [enters(f"2001:db8:1:2::{n}", "guess") for n in range(4)] == [401, 401, 429, 429]
        assert enters("2001:db8:1:3::1", shared) == 200
        assert enters("192.0.2.7", shared) == 200
    finally:
        assert server.stop() == 0
