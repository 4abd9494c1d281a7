import base64
import hashlib
import hmac

from live.settings import Turn
from live.web.turn import credentials, ice_links

TURN = Turn(urls=("turn:t.example:3478?transport=udp", "stun:t.example:3478"), secret="shared", ttl=600)


def test_asvs_17_1_credentials_expire_and_are_what_coturn_computes():
    user, password = credentials(TURN, "p-1", 1_000_000.7)
    assert user == "1000600:p-1"
    expected = hmac.new(b"shared", user.encode(), hashlib.sha1).digest()
    assert base64.b64decode(password) == expected


def test_a_stun_server_gets_no_credentials():
    turn, stun = ice_links(TURN, "p-1", 0)
    assert 'username="600:p-1"' in turn
    assert 'rel="ice-server"' in turn
    assert stun == '<stun:t.example:3478>; rel="ice-server"'


def test_without_servers_there_are_no_links():
    assert ice_links(Turn(), "p-1", 0) == []
