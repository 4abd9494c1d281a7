import { CircleHelp, Hand, Smile } from "lucide-preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { SignalKind } from "../core/wire.ts";
import { text } from "../i18n/index.ts";
import { closeDevices } from "./devices.ts";
import { count } from "./format.ts";
import { useShortcuts } from "./keys.tsx";
import { Notice } from "./kit/bits.tsx";
import { Button } from "./kit/button.tsx";
import { Dialog } from "./kit/dialog.tsx";
import { say } from "./kit/toast.tsx";
import { Nod } from "./nod.tsx";
import { narrow } from "./page.ts";
import { askBlocked } from "./questions.tsx";
import { PublishBar } from "./speaker.tsx";
import { useVisit } from "./visit.ts";
import { QUIET } from "./waves.tsx";

/** Nod, five quiet signals, hand, question: what a participant can do without a word. */
export function Actions({ onAsk }: { onAsk: () => void }) {
  const visit = useVisit();
  const t = text();
  const room = visit.room.value;
  const waves = visit.view.value?.signals.waves ?? {};
  const [sent, setSent] = useState<SignalKind | null>(null);
  const [open, setOpen] = useState(false);
  const more = useRef<HTMLFieldSetElement>(null);
  useEffect(() => {
    if (!open) return;
    const away = (event: Event) => {
      const inside = event.target instanceof Node && more.current?.contains(event.target);
      if (event instanceof KeyboardEvent ? event.key === "Escape" : !inside) setOpen(false);
    };
    document.addEventListener("pointerdown", away);
    document.addEventListener("keydown", away);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("keydown", away);
    };
  }, [open]);
  const send = (kind: SignalKind) => {
    if (!visit.signal(kind)) {
      say(text().line.blocked);
      return;
    }
    setSent(kind);
    setTimeout(() => setSent((now) => (now === kind ? null : now)), 1500);
  };
  useShortcuts({ n: () => send("nod") });
  const hand = room.mine.hand?.state;
  const up = hand === "raised";
  const guest = hand === "checking" || hand === "on_stage";
  const place = room.hands.raised.findIndex((each) => each.person === visit.myId.value) + 1;
  const signalButton = (kind: SignalKind, icon: preact.ComponentChildren) => (
    <Button
      key={kind}
      class={`signal ${sent === kind ? "sent" : ""}`}
      icon={icon}
      blocked={visit.blocked.value}
      testid={kind === "nod" ? "nod" : `signal-${kind}`}
      {...(kind === "nod" ? { keys: "n" } : {})}
      onClick={() => send(kind)}
    >
      {t.signals[kind]}
      {waves?.[kind] !== undefined && <span class="signal-count num">{count(waves[kind] ?? 0)}</span>}
    </Button>
  );
  return (
    <div class="actions">
      <fieldset class="signals" ref={more}>
        <legend class="sr">
          {t.signals.label}
          {t.common.aside(t.signals.few)}
        </legend>
        {signalButton("nod", <Nod />)}
        <div class={`signals-more ${open ? "open" : ""}`}>
          {QUIET.map(({ kind, icon: Icon }) => signalButton(kind, <Icon aria-hidden="true" />))}
        </div>
        <Button
          class="signals-toggle"
          icon={<Smile aria-hidden="true" />}
          label={t.signals.more_label}
          expanded={open}
          testid="signals-more"
          onClick={() => setOpen(!open)}
        />
      </fieldset>
      <div class="row">
        {visit.role.value === "attendee" && !guest && (
          <Button
            pressed={up}
            icon={<Hand aria-hidden="true" />}
            blocked={visit.blocked.value ?? (room.hands.open || up ? null : t.hand.closed)}
            label={up ? t.hand.place(place) : t.hand.raise}
            testid="hand"
            keys="h"
            onClick={() => void visit.ask(up ? { t: "lower_hand" } : { t: "raise_hand" })}
          >
            {narrow.value ? (
              <span class="num">{up && place > 0 ? place : ""}</span>
            ) : (
              <span class="num">{up ? t.hand.place(place) : t.hand.raise}</span>
            )}
          </Button>
        )}
        <Button
          variant="primary"
          icon={<CircleHelp aria-hidden="true" />}
          blocked={askBlocked(visit)}
          testid="ask-open"
          keys="q"
          onClick={onAsk}
        >
          {t.qa.ask}
        </Button>
      </div>
    </div>
  );
}

/** An invitation to the stage: nothing is turned on before the person says yes. */
export function InvitationDialog() {
  const visit = useVisit();
  const t = text().hand;
  const hand = visit.room.value.mine.hand;
  if (hand?.state !== "invited") return null;
  const left = Math.max(0, Math.ceil(((hand.until ?? 0) - visit.now.value) / 1000));
  const answer = (accept: boolean) => void visit.ask({ t: "answer_invitation", accept });
  return (
    <Dialog
      title={t.invitedTitle}
      onClose={() => answer(false)}
      testid="invitation-dialog"
      foot={
        <>
          <Button testid="invitation-refuse" onClick={() => answer(false)}>
            {t.refuse}
          </Button>
          <Button variant="primary" testid="invitation-accept" onClick={() => answer(true)}>
            {t.accept}
          </Button>
        </>
      }
    >
      <p>{t.invitedWords}</p>
      <p class="small soft num">
        {t.left(left)}　{t.refusedNote}
      </p>
    </Dialog>
  );
}

/** An attendee behind the curtain or on stage: publishing starts and ends with the hand's state. */
export function GuestOnStage() {
  const visit = useVisit();
  const t = text();
  const state = visit.room.value.mine.hand?.state;
  const active = state === "checking" || state === "on_stage";
  useEffect(() => {
    if (!active) return;
    void visit.media.publish();
    return () => {
      visit.media.unpublish();
      closeDevices();
    };
  }, [active]);
  if (!active) return null;
  return (
    <section class="guest card" data-testid="guest" data-state={state}>
      <Notice tone={state === "on_stage" ? "live" : "good"} role="status">
        <span class="strong">{state === "on_stage" ? t.hand.onStage : t.hand.checking}</span>
        {state === "checking" && <p>{t.hand.checkingHint}</p>}
      </Notice>
      <PublishBar />
    </section>
  );
}
