"""The media plane's shell: one UDP port, ICE-lite, DTLS-SRTP, SDP, WHIP and WHEP."""

from live.media.control import (
    Answer,
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
