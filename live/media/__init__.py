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
from live.media.link import MediaLink

__all__ = [
    "Answer",
    "MediaLink",
    "MediaRefused",
    "MediaSettings",
    "Patch",
    "SlotFacts",
    "StageFacts",
    "StageNotice",
]
