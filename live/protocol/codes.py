"""Stable machine codes: why a socket was closed, why a command was refused. The client owns the sentences."""

from enum import IntEnum
from typing import Final

VERSION: Final = 1
SUBPROTOCOL: Final = "madoi.v1"


class Close(IntEnum):
    """Why the server closes a socket. 4000-4499 mean *come back*, 4500-4999 mean *stay away*."""

    BYE = 4000
    RESTARTING = 4001
    TOO_SLOW = 4008
    RESYNC = 4010
    NO_PONG = 4012
    TOO_MANY = 4013
    STORE_AWAY = 4014
    BAD_TICKET = 4500
    BAD_MESSAGE = 4501
    NO_HELLO = 4502
    REMOVED = 4503
    FULL = 4504
    TOO_OLD = 4505
    TAKEN_OVER = 4509
    ENDED = 4510

    @property
    def come_back(self) -> bool:
        """Whether the client should connect again by itself."""
        return self < Close.BAD_TICKET


CLOSE_MEANINGS: Final[dict[Close, str]] = {
    Close.BYE: "The client said goodbye, or the server has no reason to keep the socket.",
    Close.RESTARTING: "The server is about to restart; come back after a random part of a second.",
    Close.TOO_SLOW: "More than the outbox holds was waiting for this reader; come back and resume.",
    Close.RESYNC: "The server lost its place; come back and resume.",
    Close.NO_PONG: "Nothing was heard from the client for too long.",
    Close.TOO_MANY: "Too many connections from here or to this server, or too many frames for nothing.",
    Close.STORE_AWAY: "The server cannot reach its store; nothing is acknowledged meanwhile.",
    Close.BAD_TICKET: "The ticket in `hello` is unknown, used up, expired or for another session.",
    Close.BAD_MESSAGE: "A frame could not be read, or came out of turn.",
    Close.NO_HELLO: "No `hello` came within its time.",
    Close.REMOVED: "A moderator removed this person, or the person left on purpose.",
    Close.FULL: "Too many people wait at the session's door; try again later.",
    Close.TOO_OLD: "The client speaks a version that the server no longer speaks; load the page again.",
    Close.TAKEN_OVER: "The same person connected from another tab or device, which goes on.",
    Close.ENDED: "The session is closed for good.",
}

WIRE_REFUSALS: Final[dict[str, str]] = {
    "bad_command": "The command is unknown or one of its fields is malformed; nothing was done.",
    "rate": "Too many in a short time; try again after `wait` milliseconds.",
    "window": "More commands under way than `limits.window`; wait for an answer first.",
    "busy": "The server has too much to do; try again after `wait` milliseconds.",
    "unsure": "Asked so long ago that nobody knows whether it was done; look, then ask under a new nonce.",
    "store_away": "The store does not answer; asking again with the same nonce is safe.",
}
"""Refusals by the gateway. Those of the domain are in `live.protocol.refusals`."""
