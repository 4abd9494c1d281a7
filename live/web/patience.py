"""How long a request may take to arrive: uvicorn waits for a head without end, we do not (ASVS 5.0 15.2.2).

This is the HTTP side's seam to uvicorn's own protocol class; `tests/web/test_patience.py` fails when it
moves.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def patient_protocol(seconds: float) -> type[H11Protocol]:
    """Make the protocol class of a server that closes connections whose request head does not come.

    Args:
        seconds: from the first byte (or the connection) to the end of the head.
    """

    class Patient(H11Protocol):
        """h11 with a deadline for heads; bodies have one where they are read."""

        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
            """Wait for the first head."""
            super().connection_made(transport)
            self._deadline = self.loop.call_later(seconds, self._give_up)

        def data_received(self, data: bytes) -> None:
            """Read, and go on waiting if the head is still not whole."""
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._stop_waiting()
            elif self._deadline is None:
                self._deadline = self.loop.call_later(seconds, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            """Forget."""
            self._stop_waiting()
            super().connection_lost(exc)

        def _stop_waiting(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _give_up(self) -> None:
            self._deadline = None
            if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
                self.transport.close()

    return Patient
