"""What the staff of a session did, and whether somebody has changed it since; OWASP ASVS 5.0 16.4.2."""

from live.web.bodies import Audit, AuditAct
from live.web.operation import Access, Call, Operation
from live.web.register import timestamp
from rooms import broken_at


async def audit(call: Call) -> Audit:
    """Read the acts from the store and follow their chain."""
    await call.desk.register.find(call.session)
    acts = await call.desk.rooms.acts(call.session)
    broken = broken_at(call.session, acts)
    return Audit(
        whole=broken is None,
        head=acts[-1].chain if acts else "",
        acts=[AuditAct(act.id, timestamp(act.at), act.by, act.what, act.about, act.chain) for act in acts],
        broken="" if broken is None else acts[broken].id,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/api/sessions/{id}/audit",
        "What the staff did, and whether it is what was written",
        Access.ORGANISER,
        audit,
        None,
        Audit,
        200,
        ("unknown_session", "store_away"),
    ),
)
