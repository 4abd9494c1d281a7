"""Bytes to frames and back. Any bytes give a frame or `BadMessage`; nothing undecoded is ever passed on."""

from typing import Any

import msgspec

from live.protocol.frames import FRAME_BYTES, Client, ClientFrame, Do, Ref, Server
from rooms import AnyCommand


class BadMessage(Exception):  # noqa: N818 - the name of the close code
    """The bytes are no frame of this protocol; the connection ends with `Close.BAD_MESSAGE`."""


class BadCommand(Exception):  # noqa: N818 - the name of the refusal
    """The frame asks for something that is no command; the answer is `refused` with `bad_command`.

    Attributes:
        ref: The question's number.
    """

    def __init__(self, ref: int) -> None:
        super().__init__(f"question {ref}")
        self.ref = ref


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="t", tag="do"):
    """A `do` whose command is left unread."""

    ref: Ref
    nonce: str
    cmd: msgspec.Raw
    since: int | None = None


_frames: msgspec.json.Decoder[Any] = msgspec.json.Decoder(ClientFrame)
_envelopes = msgspec.json.Decoder(_Envelope)
_commands: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AnyCommand)
_encoder = msgspec.json.Encoder()


def decode(data: str | bytes) -> Client:
    """Read one frame from a client.

    Raises:
        BadMessage: Too large, not JSON, unknown frame, wrong or unknown field.
        BadCommand: A `do` in good order whose command is unknown or malformed.
    """
    if len(data) > FRAME_BYTES:
        raise BadMessage("too large")
    try:
        frame: Client = _frames.decode(data)
    except msgspec.ValidationError as error:
        raise _blame(data, error) from None
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise BadMessage(str(error)) from None
    return frame


def _blame(data: str | bytes, error: msgspec.ValidationError) -> BadMessage | BadCommand:
    try:
        envelope = _envelopes.decode(data)
        _commands.decode(envelope.cmd)
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return BadMessage("not JSON")
    else:
        return BadMessage(str(error))
    try:
        return BadCommand(_envelopes.decode(data).ref)
    except msgspec.ValidationError:
        return BadMessage(str(error))


def encode(frame: Server) -> bytes:
    """Write one frame of the server."""
    return _encoder.encode(frame)


__all__ = ["BadCommand", "BadMessage", "Do", "decode", "encode"]
