"""The selective forwarding unit, pure: RTP and RTCP bytes and numbers in, bytes and numbers out.

A `Router` is one room's stage. Its owner (live/media) has the sockets, the keys and the clock, and does::

    router = Router[Peer]()
    router.set_stage(open=True, on_stage=["ann"], backstage=[], muted={}, veiled=False, now=now)
    router.publish(ann_peer, PublicationSpec(...), now)
    router.watch(bob_peer, "bob", behind=False, slots=(Slot(...), ...), now=now)
    router.choose(bob_peer, "audio", now)   # a smaller tier: sound and the shared screen only
    router.receive_rtp(ann_peer, unprotected, now)
    out = router.drain()              # after every mutation, or after every batch of mutations (law 9)
    ... send out.fanouts, out.rtcp, publish out.notice
    router.handle_timer(now)          # when router.next_timer(now) has come; then drain

``now`` is a monotonic number of seconds. No call waits, draws lots or raises for what came from the
network: malformed bytes are counted (`Router.stats`). Calls raise `ValueError` only for a caller's mistake.

**Seats.** A person with a place on stage or backstage who publishes takes the lowest free seat: ``v0``… for
the camera, ``screen`` for the screen, ``a0``… for sound, the same for every viewer. The seat stays theirs
over a reload, until they leave the stage; who is only backstage yields it to somebody on stage when no other
is free. Nobody receives their own publications.

**The curtain.** ``open`` and on stage: to everyone. Backstage, or not open: only to ``behind`` viewers. Muted
or veiled: to nobody. Neither on stage nor backstage: to nobody.

**Siblings.** A room too large for one router has a home and siblings. The home's owner names them by
``router.siblings.name``, carries ``Outputs.relayed`` to each, where the publishers are published under
stand-ins, and brings back the stand-ins' RTCP by ``siblings.receive`` and the layers that rest there by
``siblings.rest``. The home's facts go the same way, in order with the packets, and so do its seats
(``take_seats``): who sits where is decided at home only.
"""

from live.sfu.contract import (
    FROM_PUBLISHERS,
    LOUDEST,
    STAGE,
    TO_VIEWERS,
    Codec,
    Encoding,
    Fanout,
    Kind,
    Malformed,
    Outputs,
    PublicationSpec,
    Relayed,
    Seat,
    Slot,
    Source,
    StageNotice,
    Stream,
    Tier,
)
from live.sfu.measures import COUNTERS, GAUGES, LineMeasure, StreamMeasure
from live.sfu.router import Router

__all__ = [
    "COUNTERS",
    "FROM_PUBLISHERS",
    "GAUGES",
    "LOUDEST",
    "STAGE",
    "TO_VIEWERS",
    "Codec",
    "Encoding",
    "Fanout",
    "Kind",
    "LineMeasure",
    "Malformed",
    "Outputs",
    "PublicationSpec",
    "Relayed",
    "Router",
    "Seat",
    "Slot",
    "Source",
    "StageNotice",
    "Stream",
    "StreamMeasure",
    "Tier",
]
