"""Who speaks: audio levels (RFC 6464) smoothed, with hysteresis so that a cough does not move the stage."""

from __future__ import annotations

from collections.abc import Collection

QUIET = 55
"""−dBov from which sound is no speech."""
UNKNOWN = 45
"""−dBov assumed for sound without the extension."""
TAKE_OVER = 0.4
"""Seconds somebody must be louder before taking over from a speaker who is still speaking."""
MARGIN = 1.3
HOLD = 2.0
"""Seconds after the last word in which somebody still counts as speaking."""
INTERVAL = 0.1
"""Seconds between decisions."""
_SPEECH = 4.0
"""Smoothed loudness that counts as speech."""


class _Voice:
    __slots__ = ("fresh", "loudness", "spoke")

    def __init__(self) -> None:
        self.loudness = 0.0
        self.fresh = 0.0
        self.spoke = float("-inf")


class Voices:
    """The loudness of everybody who is heard; at most one entry per publication of sound."""

    __slots__ = ("_voices",)

    def __init__(self) -> None:
        """Silence."""
        self._voices: dict[str, _Voice] = {}

    def heard(self, person: str, level: int) -> None:
        """A packet with a level in −dBov (0 loudest, 127 silence)."""
        voice = self._voices.get(person)
        if voice is None:
            voice = self._voices[person] = _Voice()
        voice.fresh = max(voice.fresh, float(QUIET - level))

    def tick(self, now: float) -> None:
        """Smooth what was heard since the last tick; call every ``INTERVAL``."""
        for voice in self._voices.values():
            rising = voice.fresh > voice.loudness
            voice.loudness += (voice.fresh - voice.loudness) * (0.5 if rising else 0.2)
            voice.fresh = 0.0
            if voice.loudness > _SPEECH:
                voice.spoke = now

    def forget(self, person: str) -> None:
        """Somebody is no longer heard."""
        self._voices.pop(person, None)

    def loudness(self, person: str) -> float:
        """Smoothed loudness above ``QUIET``, 0 for silence."""
        voice = self._voices.get(person)
        return voice.loudness if voice else 0.0

    def spoke(self, person: str) -> float:
        """When somebody last spoke."""
        voice = self._voices.get(person)
        return voice.spoke if voice else float("-inf")


class ActiveSpeaker:
    """The choice among one audience's voices.

    Attributes:
        current: Whom to show: the last who spoke, sticky over silence; None until somebody has.
        speaking: Who speaks now, or None.
    """

    __slots__ = ("_challenger", "_since", "current", "speaking")

    def __init__(self) -> None:
        """Nobody has spoken."""
        self.current: str | None = None
        self.speaking: str | None = None
        self._challenger: str | None = None
        self._since = 0.0

    def decide(self, voices: Voices, candidates: Collection[str], now: float) -> None:
        """Choose anew; `candidates` are the persons this audience may hear."""
        if self.current not in candidates:
            self.current = None
        loudest = max(sorted(candidates), key=voices.loudness, default=None)
        if loudest is not None and voices.loudness(loudest) > _SPEECH:
            self._challenge(loudest, voices, now)
        spoke = voices.spoke(self.current) if self.current is not None else float("-inf")
        self.speaking = self.current if now - spoke <= HOLD else None

    def _challenge(self, loudest: str, voices: Voices, now: float) -> None:
        current = self.current
        if loudest == current:
            self._challenger = None
        elif current is None or now - voices.spoke(current) > TAKE_OVER:
            self.current, self._challenger = loudest, None
        elif voices.loudness(loudest) < MARGIN * voices.loudness(current):
            self._challenger = None
        elif self._challenger != loudest:
            self._challenger, self._since = loudest, now
        elif now - self._since >= TAKE_OVER:
            self.current, self._challenger = loudest, None
