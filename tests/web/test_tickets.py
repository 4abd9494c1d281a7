import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.tickets import BadTicket, Claims, Tickets
from rooms import Role

TICKETS = Tickets(b"s" * 32)
NOW = 1_800_000_000
CLAIMS = Claims("abcdefghjkmn", Role.SPEAKER, 1, NOW + 60, "p-1")
TEXT = TICKETS.sign("link", CLAIMS)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=."


def test_what_was_signed_is_read_back():
    assert TICKETS.read("link", TEXT, NOW) == CLAIMS


@pytest.mark.parametrize("at", range(len(TEXT)))
def test_asvs_9_1_1_a_changed_character_anywhere_is_refused(at):
    for other in ALPHABET:
        if other == TEXT[at]:
            continue
        with pytest.raises(BadTicket):
            TICKETS.read("link", TEXT[:at] + other + TEXT[at + 1 :], NOW)


@pytest.mark.parametrize("cut", [*range(1, 12), len(TEXT)])
def test_a_shortened_ticket_is_refused(cut):
    with pytest.raises(BadTicket):
        TICKETS.read("link", TEXT[:-cut], NOW)


@pytest.mark.parametrize("purpose", ["seat", "socket"])
def test_asvs_9_2_2_a_ticket_of_one_purpose_does_not_pass_for_another(purpose):
    with pytest.raises(BadTicket):
        TICKETS.read(purpose, TEXT, NOW)


def test_asvs_9_2_1_an_expired_ticket_is_refused():
    assert TICKETS.read("link", TEXT, NOW + 59.9)
    with pytest.raises(BadTicket):
        TICKETS.read("link", TEXT, NOW + 60)


def test_another_servers_secret_does_not_open_ours():
    with pytest.raises(BadTicket):
        Tickets(b"t" * 32).read("link", TEXT, NOW)


@given(st.text(max_size=1500))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_ticket_or_refused(text):
    with pytest.raises(BadTicket):
        TICKETS.read("link", text, NOW)


def test_a_shared_ticket_stands_for_one_person_and_a_resource_is_proved_by_its_owner_alone():
    assert TICKETS.person_of("t1") == TICKETS.person_of("t1") != TICKETS.person_of("t2")
    assert len({TICKETS.proof(s, p, r) for s in "ab" for p in ("1", "12") for r in ("2", "22")}) == 8
    assert TICKETS.proof("s", "1p", "x") != TICKETS.proof("s1", "p", "x")


def test_a_short_secret_is_not_accepted():
    with pytest.raises(ValueError, match="32 bytes"):
        Tickets(b"short")
