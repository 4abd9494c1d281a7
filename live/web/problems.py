"""Errors of the HTTP surface: RFC 9457 problem details with stable codes.

`code` is what programs look at and never changes its meaning; `title` is a fixed English line for whoever
reads logs. The server sends no other prose: the client has the sentences.
"""

import msgspec
from starlette.responses import Response

TITLES: dict[str, tuple[int, str]] = {
    "bad_body": (400, "The body is not the JSON object that this operation takes"),
    "bad_ticket": (401, "The ticket or token is missing, forged, expired or for something else"),
    "origin_refused": (403, "Requests from this origin are not accepted"),
    "role_refused": (403, "The role of this ticket does not permit the operation"),
    "removed": (403, "This person was removed from the session"),
    "not_admitted": (403, "The door has not admitted this person"),
    "unknown_session": (404, "There is no such session"),
    "unknown_resource": (404, "There is no such resource"),
    "method_refused": (405, "This address does not take that method"),
    "accept_refused": (406, "The answer can only be application/sdp"),
    "body_too_large": (413, "The body is larger than the limit"),
    "media_type_refused": (415, "The body has another content type than this operation takes"),
    "name_required": (422, "A shared link needs a name"),
    "bad_value": (422, "A value is out of its range"),
    "too_many": (429, "Too many requests from this address"),
    "body_late": (408, "The body did not come in time"),
    "ended": (410, "The session is closed"),
    "erased": (410, "The session was erased, as its retention class says"),
    "link_used": (409, "This personal link belongs to another browser, or to a program"),
    "no_such_person": (404, "There is no such person"),
    "refused": (409, "The room does not permit this now"),
    "server_fault": (500, "The server failed; it has written down why"),
    "store_away": (503, "The store is not available"),
    # the media worker's
    "sdp_invalid": (400, "The body is not a session description"),
    "sdpfrag_invalid": (400, "The body is not a trickle ICE fragment"),
    "not_offered": (409, "The server has offered nothing here that could be answered"),
    "etag_mismatch": (412, "The ICE session has another entity tag by now"),
    "sdp_too_long": (413, "The session description is too long"),
    "answer_mismatch": (422, "The answer does not fit the offer"),
    "direction": (422, "The media lines have the wrong direction"),
    "no_codec": (422, "No codec is in common"),
    "no_bundle": (422, "The media lines must be bundled"),
    "no_fingerprint": (422, "The description has no certificate fingerprint"),
    "no_ice": (422, "The description has no ICE credentials"),
    "no_rtcp_mux": (422, "RTP and RTCP must share a port"),
    "setup_invalid": (422, "The DTLS role does not fit"),
    "source_invalid": (422, "The source is camera or screen"),
    "not_watching": (409, "This resource publishes; only a watch has a tier"),
    "tier_invalid": (422, "The tier is video, audio or captions"),
    "too_many_lines": (422, "There are more media lines than the stage takes"),
    "etag_required": (428, "A PATCH must carry If-Match"),
    "too_many_offers": (429, "Too many offers and answers of this person"),
    "too_many_patches": (429, "Too many trickle fragments for one connection"),
    "too_many_peers": (429, "This person has too many media connections open"),
    "media_confused": (502, "The media worker gave an answer that does not fit"),
    "media_full": (503, "The media worker has no place left"),
    "media_elsewhere": (503, "The session's media is at a server that cannot be reached from this one"),
    "media_unavailable": (503, "The media worker is being started"),
    "media_slow": (504, "The media worker did not answer in time"),
}


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every error.

    Attributes:
        type: a URI for this kind of problem.
        title: a short fixed sentence.
        status: the HTTP status again.
        code: the stable machine code.
        detail: what exactly, where that helps a programmer.
        wait: milliseconds after which trying again makes sense.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str | None = None
    wait: int | None = None


class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """An operation refuses; the client gets the problem body.

    Args:
        code: a key of `TITLES`, or a code of the room or the media worker.
        detail: what exactly, in English, without any personal data.
        status: overrides the table's status for codes that are not ours.
        wait: milliseconds after which trying again makes sense.
        headers: further response headers.
    """

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        status: int | None = None,
        wait: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        usual, title = TITLES.get(code, (409, "The room does not permit this now"))
        self.body = ProblemBody(f"urn:madoi:problem:{code}", title, status or usual, code, detail, wait)
        self.headers = headers or {}

    def response(self) -> Response:
        """Return the error as a response."""
        headers = {"Cache-Control": "no-store", **self.headers}
        if self.body.status == 401:  # noqa: PLR2004 - RFC 9110 §11.6.1: a 401 names the scheme
            headers["WWW-Authenticate"] = 'Bearer realm="madoi"'
        if self.body.wait is not None:
            headers["Retry-After"] = str(-(-self.body.wait // 1000))
        return Response(
            msgspec.json.encode(self.body), self.body.status, headers, media_type="application/problem+json"
        )
