"""What routing costs without sockets and keys: µs of CPU per packet and viewer in the pure router.

One speaker sends 150 video packets of 1,200 bytes and 50 of sound of 100 bytes a second; every viewer reports
once a second (RR and REMB). Times are of this process's CPU. The last line is JSON.
Run: ``python benchmarks/route.py [viewers ...]``.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from live.sfu import Codec, Encoding, PublicationSpec, Router, Slot
from live.sfu.contract import ABS_SEND_TIME, AUDIO_LEVEL, MID, TRANSPORT_CC
from live.sfu.rtcp import ReportBlock, SenderReport, write_remb, write_rr, write_sr
from live.sfu.rtp import Rtp, write_rtp

VP8, OPUS = Codec("vp8", 90000, 96, 97), Codec("opus", 48000, 111)
FROM, TO = {MID: 1, AUDIO_LEVEL: 2, TRANSPORT_CC: 3}, {MID: 4, AUDIO_LEVEL: 5, ABS_SEND_TIME: 6}
SECONDS = 5


def pool() -> list[Slot]:
    video = [Slot(f"v{i}", "video", 5000 + i, 6000 + i, (VP8,), TO, f"v{i}") for i in range(6)]
    sound = [Slot(f"a{i}", "audio", 7000 + i, None, (OPUS,), TO, f"a{i}") for i in range(6)]
    return [*video, Slot("screen", "video", 5900, 6900, (VP8,), TO, "screen"), *sound]


def stage(viewers: int) -> tuple[Router[int], float]:
    """A router with one speaker; gives the µs one viewer's joining took."""
    router: Router[int] = Router()
    router.set_stage(open=True, on_stage=["ann"], backstage=[], muted={}, veiled=False, now=0.0)
    camera, voice = (Encoding(1000, 1001),), (Encoding(2000),)
    router.publish(-1, PublicationSpec("v", "ann", "camera", "video", {96: VP8}, camera, None, (), FROM), 0.0)
    router.publish(
        -1, PublicationSpec("a", "ann", "microphone", "audio", {111: OPUS}, voice, None, (), FROM), 0.0
    )
    slots = pool()
    began = time.process_time()
    for viewer in range(viewers):
        router.watch(viewer, f"p{viewer}", behind=False, slots=slots, now=0.0)
    return router, (time.process_time() - began) / viewers * 1e6


def video(number: int) -> bytes:
    key = 0 if number == 0 else 1
    descriptor = bytes(
        (0x90 if number % 5 == 0 else 0x80, 0xE0, 0x80 | number // 5 >> 8, number // 5 & 0xFF, 0, 0, key)
    )
    return write_rtp(
        Rtp(
            marker=0x80 if number % 5 == 4 else 0,
            pt=96,
            sequence=number & 0xFFFF,
            timestamp=3000 * (number // 5),
            ssrc=1000,
            extensions={1: b"0", 3: number.to_bytes(2)},
            payload=descriptor + bytes(1193),
        )
    )


def sound(number: int) -> bytes:
    extensions = {1: b"1", 2: b"\x99", 3: number.to_bytes(2)}
    head = Rtp(
        marker=0,
        pt=111,
        sequence=number,
        timestamp=960 * number,
        ssrc=2000,
        extensions=extensions,
        payload=bytes(100),
    )
    return write_rtp(head)


def run(viewers: int) -> dict[str, float]:
    router, join = stage(viewers)
    reports = [
        write_rr(9, [ReportBlock(5000, 0, 0, 1, 1, 1, 1), ReportBlock(7000, 0, 0, 1, 1, 1, 1)])
        + write_remb(9, 3_000_000, [5000])
        for _ in range(viewers)
    ]
    media = control = clock = 0.0
    forwarded = slowest = 0
    for second in range(SECONDS):
        for tick in range(50):
            now = second + tick / 50
            batch = [video(150 * second + 3 * tick + i) for i in range(3)] + [sound(50 * second + tick)]
            began = time.process_time()
            for data in batch:
                router.receive_rtp(-1, data, now)
            out = router.drain()
            spent = time.process_time() - began
            media += spent
            slowest = max(slowest, spent)
            forwarded += sum(len(f.headers) for f in out.fanouts)
            began = time.process_time()
            router.handle_timer(now)
            clock += time.process_time() - began
            began = time.process_time()
            for viewer in range(tick, viewers, 50):
                router.receive_rtcp(viewer, reports[viewer], now)
            router.drain()
            control += time.process_time() - began
        report = SenderReport(1000, second + 1 << 32, 90000 * second, 0, 0)
        router.receive_rtcp(-1, write_sr(report), second + 0.99)
    per = 1e6 / forwarded
    return {
        "viewers": viewers,
        "forwarded": forwarded,
        "join_us": round(join, 1),
        "media_us": round(media * per, 3),
        "timer_us": round(clock * per, 3),
        "rtcp_us_each": round(control * 1e6 / (viewers * SECONDS), 2),
        "total_us": round((media + clock + control) * per, 3),
        "longest_batch_ms": round(slowest * 1e3, 2),
    }


def main() -> None:
    rows = [run(int(n)) for n in sys.argv[1:] or (100, 300, 1000)]
    print(f"{platform.python_implementation()} {platform.python_version()}, {SECONDS} s of media, µs CPU")
    print(" viewers  packet-viewer   timers      all  RTCP each     join  longest ms")
    for row in rows:
        print(
            f"{row['viewers']:>8} {row['media_us']:>14} {row['timer_us']:>8} {row['total_us']:>8}"
            f" {row['rtcp_us_each']:>10} {row['join_us']:>8} {row['longest_batch_ms']:>11}"
        )
    print(json.dumps({"benchmark": "route", "unit": "us", "rows": rows}))


if __name__ == "__main__":
    main()
