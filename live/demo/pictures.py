"""Moving pictures and sound for bot speakers: cheap to make, and easy to tell apart."""

import asyncio
import fractions
import math
import time
from typing import NamedTuple

import av
from aiortc import AudioStreamTrack, VideoStreamTrack

WIDTH, HEIGHT, RATE = 320, 180, 12
SAMPLE_RATE, FRAME = 48_000, 960
CLOCK = 90_000


class Figure(NamedTuple):
    """An ellipse in the picture: where, how large, and its colour in YUV."""

    y: float
    rx: float
    ry: float
    colour: tuple[int, int, int]


BODY, HEAD = (200.0, 84.0, 92.0), (74.0, 33.0, 40.0)
SKIN = (186, 114, 142)
PALETTES = (((62, 132, 124), (118, 140, 112)), ((74, 122, 136), (132, 112, 140)))
"""Background and clothes of each speaker, in YUV: quiet colours, easy to tell apart."""


class Picture(VideoStreamTrack):
    """A figure that sways a little before a plain wall, 12 times a second; drawn in runs, so it costs little.

    Args:
        number: which speaker; the palette follows from it.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self._wall, clothes = PALETTES[number % len(PALETTES)]
        self._figures = (Figure(*BODY, clothes), Figure(*HEAD, SKIN))
        self._phase = number * 1.7
        self._count = 0
        self._began = time.monotonic()

    async def recv(self) -> av.VideoFrame:
        """Return the next picture when its time has come."""
        due = self._began + self._count / RATE
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        at = self._count / RATE + self._phase
        x, nod = WIDTH / 2 + 14 * math.sin(at * 0.9), 3 * math.sin(at * 2.3)
        for number, plane in enumerate(frame.planes):
            plane.update(self._draw(number, 1 if number == 0 else 2, plane.line_size, x, nod))
        frame.pts = self._count * CLOCK // RATE
        frame.time_base = fractions.Fraction(1, CLOCK)
        self._count += 1
        return frame

    def _draw(self, plane: int, scale: int, stride: int, x: float, nod: float) -> bytes:
        """Draw one plane, row by row: the wall, then each figure's run."""
        rows = []
        for line in range(HEIGHT // scale):
            y = line * scale
            shade = y // 6 if plane == 0 else 0
            row = bytearray([self._wall[plane] + shade]) * stride
            for figure in self._figures:
                inside = 1 - ((y - figure.y - nod) / figure.ry) ** 2
                if inside > 0:
                    half = figure.rx * math.sqrt(inside)
                    first, last = int((x - half) / scale), int((x + half) / scale)
                    row[first:last] = bytes([figure.colour[plane]]) * (last - first)
            rows.append(row)
        return b"".join(rows)


class Tone(AudioStreamTrack):
    """A soft tone that comes and goes, like somebody who speaks and listens.

    Args:
        pitch: in Hz.
        turn: length of speaking and of listening, in seconds; the second speaker starts by listening.
        first: whether this speaker starts.
    """

    def __init__(self, pitch: float, turn: float = 6.0, *, first: bool = True) -> None:
        super().__init__()
        self._count = 0
        self._turn, self._first = turn, first
        self._began = time.monotonic()
        period = SAMPLE_RATE / pitch
        samples = (int(6000 * math.sin(2 * math.pi * n / period)) for n in range(SAMPLE_RATE))
        self._second = b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)

    async def recv(self) -> av.AudioFrame:
        """Return the next 20 ms when their time has come."""
        start = self._count * FRAME
        await asyncio.sleep(max(0.0, self._began + start / SAMPLE_RATE - time.monotonic()))
        speaks = (int(start / SAMPLE_RATE / self._turn) % 2 == 0) is self._first
        at = start % SAMPLE_RATE * 2
        sound = self._second[at : at + FRAME * 2] if speaks else bytes(FRAME * 2)
        frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(sound)
        frame.sample_rate = SAMPLE_RATE
        frame.pts = start
        frame.time_base = fractions.Fraction(1, SAMPLE_RATE)
        self._count += 1
        return frame
