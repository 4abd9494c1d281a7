"""Keeping the promise of a retention class: what is over is erased or reduced, also after a restart."""

import asyncio

from live.telemetry import log
from live.web.desk import Desk
from live.web.register import Record
from live.web.sessions import erase_session, reduce_session
from rooms import State, erased_at, reduced_at

LOOK_EVERY_S = 15.0


async def keep_retention(desk: Desk, every: float = LOOK_EVERY_S) -> None:
    """Erase or reduce every session whose time is over, again and again until cancelled.

    Args:
        desk: whose sessions.
        every: seconds between two looks.
    """
    while True:
        try:
            await erase_what_is_over(desk)
        except Exception as error:  # noqa: BLE001 - a store that is away now is asked again at the next look
            log.error("retention.failed", exc_info=error)
        await asyncio.sleep(every)


async def erase_what_is_over(desk: Desk) -> None:
    """Look once through the register; a session that cannot be erased now keeps no other from it."""
    now = desk.now() * 1000
    for record in await desk.register.all():
        try:
            await _keep_promise(desk, record, now)
        except Exception as error:  # noqa: BLE001 - asked again at the next look
            log.error("retention.failed", session=record.id, exc_info=error)


async def _keep_promise(desk: Desk, record: Record, now: float) -> None:
    over = erased_at(record.retention, State(record.state), record.since)
    less = reduced_at(record.retention, State(record.state), record.since)
    if record.erased is None and record.reduced is None and less is not None and less <= now:
        await reduce_session(desk, record)
        log.info("retention.reduced", session=record.id, retention=record.retention)
    if record.erased is None and over is not None and over <= now:
        await erase_session(desk, record)
        log.info("retention.erased", session=record.id, retention=record.retention)
