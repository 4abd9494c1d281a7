import {
  Ban,
  DoorOpen,
  Ellipsis,
  Eye,
  Hand,
  MessageSquareOff,
  Mic,
  MicOff,
  Octagon,
  ScreenShare,
  ScreenShareOff,
  Spotlight as SpotlightIcon,
  UserMinus,
  UserPlus,
  Video,
  VideoOff,
} from "lucide-preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Act, Person, Reach, StageSource } from "../core/wire.ts";
import { text } from "../i18n/index.ts";
import { knockSound } from "./devices.ts";
import { clock, duration } from "./format.ts";
import { Avatar, Badge, Empty, Notice } from "./kit/bits.tsx";
import { Button } from "./kit/button.tsx";
import { Confirm, Dialog } from "./kit/dialog.tsx";
import { Select, Switch, TextField } from "./kit/field.tsx";
import { Menu } from "./kit/menu.tsx";
import { say } from "./kit/toast.tsx";
import { SendBox } from "./sendbox.tsx";
import { useVisit } from "./visit.ts";

/** Those who wait, longest first. */
export function useWaiting(): Person[] {
  const people = Object.values(useVisit().room.value.people);
  return people.filter((person) => person.standing === "waiting");
}

/** One knock sounds; the next ones are quiet for half a minute. */
export function useKnocks(): void {
  const visit = useVisit();
  const waiting = useWaiting();
  const known = useRef<Set<string> | null>(null);
  const last = useRef(0);
  const key = waiting.map((person) => person.id).join();
  useEffect(() => {
    const before = known.current;
    known.current = new Set(waiting.map((person) => person.id));
    if (!before || !visit.isStaff.value) return;
    const fresh = waiting.find((person) => !before.has(person.id));
    if (!fresh || Date.now() - last.current < 30_000) return;
    last.current = Date.now();
    knockSound();
    say(text().staff.knocked(visit.card(fresh.id).name));
  }, [key]);
}

/** A raised hand is heard once, then quiet for half a minute; the answer to an invitation is told to the staff. */
export function useHandNews(): void {
  const visit = useVisit();
  const t = text().staff;
  const filed = visit.room.value.hands.filed;
  const known = useRef<typeof filed | null>(null);
  const last = useRef(0);
  useEffect(() => {
    const before = known.current;
    known.current = filed;
    if (!before || !visit.isStaff.value) return;
    for (const hand of Object.values(filed)) {
      if (before[hand.person]?.state === hand.state) continue;
      const { name } = visit.card(hand.person);
      if (hand.state === "refused") say(t.refused(name));
      else if (hand.state === "expired") say(t.lapsed(name));
      else if (hand.state === "raised" && Date.now() - last.current > 30_000) {
        last.current = Date.now();
        knockSound();
        say(t.handUp(name));
      }
    }
  }, [filed]);
}

/** How media reaches a person, for the staff: silent about those whom it reaches directly. */
export function ReachBadge({ reach }: { reach: Reach | null | undefined }) {
  if (!reach || reach === "udp") return null;
  return (
    <span data-testid="reach" data-reach={reach}>
      <Badge tone={reach === "none" ? "warn" : "plain"}>{text().check.staff[reach]}</Badge>
    </span>
  );
}

/** The door as the staff see it. */
export function DoorList() {
  const visit = useVisit();
  const t = text().staff;
  const waiting = useWaiting();
  const out = Object.values(visit.room.value.people).filter(
    (person) => person.standing === "removed" || person.standing === "blocked",
  );
  return (
    <div class="pane" data-testid="door-list">
      {waiting.length === 0 && <Empty icon={<DoorOpen aria-hidden="true" />}>{t.doorEmpty}</Empty>}
      {waiting.length > 1 && (
        <Button
          variant="primary"
          block
          blocked={visit.blocked.value}
          testid="admit-all"
          onClick={() => void visit.ask({ t: "admit_all" })}
        >
          {t.admitAll}
          {text().common.aside(String(waiting.length))}
        </Button>
      )}
      <ul class="stack tight">
        {waiting.map((person) => (
          <Visitor key={person.id} person={person} />
        ))}
      </ul>
      {out.length > 0 && (
        <section class="stack tight">
          <h2 class="small">{t.removed}</h2>
          <ul>
            {out.map((person) => (
              <li key={person.id} class="person">
                <Avatar id={person.id} name={visit.card(person.id).name} />
                <span class="grow clip">{visit.card(person.id).name}</span>
                {person.standing === "blocked" && (
                  <Button size="small" onClick={() => void visit.ask({ t: "unblock", person: person.id })}>
                    {t.unblock}
                  </Button>
                )}
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

function Visitor({ person }: { person: Person }) {
  const visit = useVisit();
  const t = text().staff;
  const card = visit.card(person.id);
  const lines = visit.room.value.door[person.id] ?? [];
  const [talking, setTalking] = useState(false);
  const [words, setWords] = useState("");
  const [sending, setSending] = useState(false);
  return (
    <li class="visitor" data-testid="visitor" data-person-id={person.id}>
      <div class="row">
        <Avatar id={person.id} name={card.name} />
        <div class="grow">
          <p class="strong clip">{card.name}</p>
          <p class="small soft num clip">
            {card.profession ? `${card.profession} · ` : ""}
            {t.waited(duration(visit.now.value - person.at))}
          </p>
        </div>
        {card.alike && <Badge tone="warn">{text().alike}</Badge>}
        {person.registered && <Badge tone="good">{t.registered}</Badge>}
        <ReachBadge reach={person.reach} />
      </div>
      {lines.length > 0 && (
        <ul class="bubbles">
          {lines.map((line) => (
            <li key={line.id} class={line.author === person.id ? "bubble" : "bubble mine"}>
              {line.text}
            </li>
          ))}
        </ul>
      )}
      <div class="row wrap">
        <Button
          variant="primary"
          size="small"
          icon={<UserPlus aria-hidden="true" />}
          blocked={visit.blocked.value}
          testid="admit"
          onClick={() => void visit.ask({ t: "admit", person: person.id })}
        >
          {t.admit}
        </Button>
        <Button size="small" expanded={talking} testid="door-talk" onClick={() => setTalking(!talking)}>
          {t.text}
        </Button>
        <Button size="small" variant="quiet" testid="send-back" onClick={() => setSending(true)}>
          {t.sendBack}
        </Button>
      </div>
      {talking && (
        <SendBox
          label={t.text}
          placeholder={t.text}
          value={words}
          onInput={setWords}
          testid="door-reply"
          onSend={() => {
            void visit.ask({ t: "say_at_door", visitor: person.id, text: words.trim() });
            setWords("");
          }}
        />
      )}
      {sending && <SendBack person={person.id} onClose={() => setSending(false)} />}
    </li>
  );
}

function SendBack({ person, onClose }: { person: string; onClose: () => void }) {
  const visit = useVisit();
  const t = text().staff;
  const [words, setWords] = useState("");
  return (
    <Dialog
      title={t.sendBack}
      onClose={onClose}
      foot={
        <>
          <Button onClick={onClose}>{text().common.cancel}</Button>
          <Button
            variant="primary"
            testid="send-back-yes"
            onClick={() => {
              void visit.ask({ t: "send_back", person, text: words.trim() });
              onClose();
            }}
          >
            {t.sendBack}
          </Button>
        </>
      }
    >
      <TextField label={t.sendBackWords} value={words} maxLength={300} onInput={setWords} />
    </Dialog>
  );
}

/** Hands in their order, each with its next step. */
export function HandsList() {
  const visit = useVisit();
  const t = text().staff;
  const room = visit.room.value;
  const hands = Object.values(room.hands.filed);
  return (
    <div class="pane" data-testid="hands-list">
      <Switch
        label={t.handsOpen}
        checked={room.hands.open}
        testid="hands-open"
        onChange={(open) => void visit.ask({ t: "set_hands", open })}
      />
      {hands.length === 0 && <Empty icon={<Hand aria-hidden="true" />}>{t.handsEmpty}</Empty>}
      <ol class="stack tight">
        {hands.map((hand, i) => (
          <li key={hand.person} class="visitor" data-testid="hand-card" data-state={hand.state}>
            <div class="row">
              <span class="num soft">{i + 1}</span>
              <Avatar id={hand.person} name={visit.card(hand.person).name} />
              <div class="grow">
                <p class="strong clip">{visit.card(hand.person).name}</p>
                <p class="small soft num">{t.waited(duration(visit.now.value - hand.at))}</p>
              </div>
              <Badge tone={hand.state === "on_stage" ? "live-soft" : "accent"}>
                {t.handStates[hand.state]}
              </Badge>
            </div>
            <div class="row wrap">
              {hand.state === "raised" && (
                <Button
                  size="small"
                  variant="primary"
                  testid="invite"
                  onClick={() => void visit.ask({ t: "invite", person: hand.person })}
                >
                  {t.invite}
                </Button>
              )}
              {hand.state === "checking" && (
                <Button
                  size="small"
                  variant="primary"
                  testid="bring-on"
                  onClick={() => void visit.ask({ t: "bring_on", person: hand.person })}
                >
                  {t.bringOn}
                </Button>
              )}
              {hand.state === "on_stage" || hand.state === "checking" ? (
                <Button
                  size="small"
                  testid="take-off"
                  onClick={() => void visit.ask({ t: "take_off", person: hand.person })}
                >
                  {t.takeOff}
                </Button>
              ) : hand.state === "refused" || hand.state === "expired" ? null : (
                <Button
                  size="small"
                  variant="quiet"
                  testid="lower"
                  onClick={() => void visit.ask({ t: "lower_hand", person: hand.person })}
                >
                  {t.lower}
                </Button>
              )}
            </div>
          </li>
        ))}
      </ol>
    </div>
  );
}

/** What staff may do with one person, as a menu. */
export function PersonMenu({ person }: { person: string }) {
  const visit = useVisit();
  const t = text().staff;
  const room = visit.room.value;
  const [removing, setRemoving] = useState(false);
  const role = room.inside[person];
  const seated = room.stage.seats.includes(person);
  const muted = room.stage.muted[person] ?? [];
  const voiceless = room.people[person]?.muted ?? false;
  const hand = room.hands.filed[person]?.state;
  const publishes = seated || role === "speaker" || role === "presenter" || hand === "checking";
  const source = (what: StageSource, on: boolean) =>
    void visit.ask({ t: "mute_source", person, source: what, on });
  const attendee = role === "attendee";
  return (
    <>
      <Menu
        label={`${text().common.more}: ${visit.card(person).name}`}
        icon={<Ellipsis aria-hidden="true" />}
        testid="person-menu"
        items={[
          publishes &&
            !seated && {
              label: t.bringOn,
              icon: <UserPlus aria-hidden="true" />,
              testid: "menu-bring-on",
              onChoose: () => void visit.ask({ t: "bring_on", person }),
            },
          seated && {
            label: t.takeOff,
            icon: <UserMinus aria-hidden="true" />,
            testid: "menu-take-off",
            onChoose: () => void visit.ask({ t: "take_off", person }),
          },
          seated && {
            label: room.stage.spotlight === person ? t.unspotlight : t.spotlight,
            icon: <SpotlightIcon aria-hidden="true" />,
            testid: "menu-spotlight",
            onChoose: () =>
              void visit.ask({ t: "spotlight", person: room.stage.spotlight === person ? "" : person }),
          },
          publishes && {
            label: muted.includes("microphone") ? t.unmuteMic : t.muteMic,
            icon: muted.includes("microphone") ? <Mic aria-hidden="true" /> : <MicOff aria-hidden="true" />,
            testid: "menu-mute-mic",
            onChoose: () => source("microphone", !muted.includes("microphone")),
          },
          publishes && {
            label: muted.includes("camera") ? t.unmuteCamera : t.muteCamera,
            icon: muted.includes("camera") ? <Video aria-hidden="true" /> : <VideoOff aria-hidden="true" />,
            testid: "menu-mute-camera",
            onChoose: () => source("camera", !muted.includes("camera")),
          },
          (visit.screenOf.value === person || muted.includes("screen")) && {
            label: muted.includes("screen") ? t.unmuteScreen : t.muteScreen,
            icon: muted.includes("screen") ? (
              <ScreenShare aria-hidden="true" />
            ) : (
              <ScreenShareOff aria-hidden="true" />
            ),
            testid: "menu-mute-screen",
            onChoose: () => source("screen", !muted.includes("screen")),
          },
          attendee && {
            label: t.invite,
            icon: <Hand aria-hidden="true" />,
            testid: "menu-invite",
            onChoose: () => void visit.ask({ t: "invite", person }),
          },
          role === "moderator" || role === "organiser"
            ? null
            : {
                label: voiceless ? t.unmute : t.mute,
                icon: <MessageSquareOff aria-hidden="true" />,
                testid: "menu-mute",
                onChoose: () => void visit.ask({ t: "mute", person, on: !voiceless }),
              },
          person !== visit.myId.value && {
            label: t.remove,
            icon: <Ban aria-hidden="true" />,
            danger: true,
            testid: "menu-remove",
            onChoose: () => setRemoving(true),
          },
        ]}
      />
      {removing && <RemoveDialog person={person} onClose={() => setRemoving(false)} />}
    </>
  );
}

function RemoveDialog({ person, onClose }: { person: string; onClose: () => void }) {
  const visit = useVisit();
  const t = text().staff;
  const [block, setBlock] = useState(false);
  return (
    <Dialog
      title={t.removeTitle(visit.card(person).name)}
      onClose={onClose}
      testid="remove-dialog"
      foot={
        <>
          <Button onClick={onClose}>{text().common.cancel}</Button>
          <Button
            variant="live"
            testid="remove-yes"
            onClick={() => {
              void visit.ask({ t: "remove", person, ...(block ? { block } : {}) });
              onClose();
            }}
          >
            {t.remove}
          </Button>
        </>
      }
    >
      <p>{t.removeWords}</p>
      <Switch label={t.block} checked={block} testid="remove-block" onChange={setBlock} />
    </Dialog>
  );
}

const SLOW = ["0", "5", "10", "30", "60", "120"] as const;

/** Slow mode, hold, close, freeze, stop; and what was done. */
export function Safety() {
  const visit = useVisit();
  const t = text();
  const room = visit.room.value;
  const { rules } = room.chat;
  const [stopping, setStopping] = useState(false);
  const slow = SLOW.find((each) => Number(each) === rules.slow) ?? "0";
  return (
    <div class="pane" data-testid="safety">
      {room.stage.veiled ? (
        <Notice tone="live" role="status">
          <p class="strong">{t.stage.veiled}</p>
          <Button
            icon={<Eye aria-hidden="true" />}
            testid="lift-veil"
            onClick={() => void visit.ask({ t: "lift_veil" })}
          >
            {t.staff.liftVeil}
          </Button>
        </Notice>
      ) : (
        <Button
          variant="danger"
          block
          icon={<Octagon aria-hidden="true" />}
          testid="stop-all"
          onClick={() => setStopping(true)}
        >
          {t.staff.stopAll}
        </Button>
      )}
      <section class="stack tight">
        <h2 class="pane-title">{t.staff.chatRules}</h2>
        <Select
          label={t.staff.slow}
          value={slow}
          testid="slow"
          options={SLOW.map((value) => ({
            value,
            label: value === "0" ? t.staff.slowOff : t.staff.seconds(Number(value)),
          }))}
          onChange={(value) => void visit.ask({ t: "set_chat_rules", slow: Number(value) })}
        />
        <Switch
          label={t.staff.hold}
          checked={rules.hold}
          testid="hold"
          onChange={(hold) => void visit.ask({ t: "set_chat_rules", hold })}
        />
        <Switch
          label={t.staff.chatClosed}
          checked={rules.closed}
          testid="chat-closed"
          onChange={(closed) => void visit.ask({ t: "set_chat_rules", closed })}
        />
      </section>
      <HeldMessages />
      <section class="stack tight">
        <h2 class="pane-title">{t.staff.questionRules}</h2>
        <Switch
          label={t.staff.moderated}
          checked={room.session.settings?.qa.moderated ?? true}
          testid="moderated"
          onChange={(moderated) => void visit.ask({ t: "change_settings", moderated })}
        />
        <Switch
          label={t.staff.close}
          checked={room.questions.rules.closed}
          testid="questions-closed"
          onChange={(closed) => void visit.ask({ t: "set_question_rules", closed })}
        />
        <Switch
          label={t.staff.freeze}
          checked={room.questions.rules.frozen}
          testid="questions-frozen"
          onChange={(frozen) => void visit.ask({ t: "set_question_rules", frozen })}
        />
      </section>
      <Acts />
      {stopping && (
        <Confirm
          title={t.staff.stopAllTitle}
          words={t.staff.stopAllWords}
          yes={t.staff.stopAllYes}
          danger
          testid="stop-all-dialog"
          onYes={() => void visit.ask({ t: "stop_everything" })}
          onClose={() => setStopping(false)}
        />
      )}
    </div>
  );
}

function HeldMessages() {
  const visit = useVisit();
  const t = text().staff;
  const { held, rules } = visit.room.value.chat;
  if (held.length === 0 && !rules.hold) return null;
  return (
    <section class="stack tight">
      <h2 class="pane-title">{t.held}</h2>
      {held.length === 0 && <p class="small soft">{t.heldEmpty}</p>}
      <ul class="stack tight">
        {held.map((message) => (
          <li key={message.id} class="visitor" data-testid="held">
            <p>
              <span class="strong">{visit.card(message.author).name}</span> {message.text}
            </p>
            <div class="row">
              <Button
                size="small"
                variant="primary"
                testid="held-post"
                onClick={() => void visit.ask({ t: "review_held", id: message.id, post: true })}
              >
                {t.post}
              </Button>
              <Button
                size="small"
                variant="quiet"
                testid="held-drop"
                onClick={() => void visit.ask({ t: "review_held", id: message.id, post: false })}
              >
                {t.drop}
              </Button>
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Acts() {
  const visit = useVisit();
  const t = text();
  const room = visit.room.value;
  const change = (one: string) => {
    const [name = "", value = ""] = one.split("=");
    return t.changes[one] ?? (value ? t.common.pair(t.changes[name] ?? name, value) : name);
  };
  const about = ({ what, about: id }: Act) => {
    if (what === "change_settings" && id) return id.split(" ").map(change).join(" · ");
    if (room.cards[id]) return visit.card(id).name;
    const question = room.questions.filed[id];
    if (question) return `#${question.number}`;
    const poll = room.polls.filed[id];
    if (poll) return `「${poll.text}」`;
    return t.states[id as keyof typeof t.states] ?? "";
  };
  return (
    <section class="stack tight">
      <h2 class="pane-title">{t.staff.acts}</h2>
      {room.acts.length === 0 && <p class="small soft">{t.staff.actsEmpty}</p>}
      <ol class="acts" data-testid="acts">
        {room.acts
          .slice(-60)
          .reverse()
          .map((act) => (
            <li key={act.id} class="small">
              <time class="num soft">{clock(act.at)}</time>
              <span>
                <span class="strong">
                  {act.what === "expire_seat"
                    ? t.staff.byItself
                    : (room.cards[act.by]?.name ?? t.roles.organiser)}
                </span>{" "}
                {t.acts[act.what] ?? act.what} {about(act)}
              </span>
            </li>
          ))}
      </ol>
    </section>
  );
}
