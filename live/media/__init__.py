"""The media plane's shell: one UDP port, ICE-lite, DTLS-SRTP, SDP, WHIP and WHEP."""

from live.media.control import (
    Answer,
    LineFacts,
    MediaRefused,
    MediaSettings,
    Patch,
    SlotFacts,
    StageFacts,
    StageNotice,
)
from live.media.fleet import MediaFleet, cores
from live.media.link import MediaLink

__all__ = [
    "Answer",
    "LineFacts",
    "MediaFleet",
    "MediaLink",
    "MediaRefused",
    "MediaSettings",
    "Patch",
    "SlotFacts",
    "StageFacts",
    "StageNotice",
    "cores",
]
