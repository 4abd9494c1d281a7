import { ArrowBigUp, CircleHelp, Lightbulb, ShieldAlert, Undo2 } from "lucide-preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Item } from "../core/outbox.ts";
import { length, privacyHints, similar } from "../core/text.ts";
import type { AnyCommand, OwnQuestion, PublicQuestion, Role } from "../core/wire.ts";
import { text } from "../i18n/index.ts";
import { useDraft } from "./drafts.ts";
import { count, withSan } from "./format.ts";
import { Badge, Empty, Notice } from "./kit/bits.tsx";
import { Button } from "./kit/button.tsx";
import { Dialog } from "./kit/dialog.tsx";
import { Select, Switch } from "./kit/field.tsx";
import { useVisit, type Visit } from "./visit.ts";

/** Speakers a question can be addressed to. */
export function speakers(visit: Visit): { id: string; name: string }[] {
  const room = visit.room.value;
  const expert = (role: Role) => role === "speaker" || role === "presenter";
  const inside = Object.entries(room.inside).filter(([, role]) => expert(role));
  return inside.map(([id]) => ({ id, name: visit.card(id).name }));
}

/** Why no question can be asked now, or null. */
export function askBlocked(visit: Visit): string | null {
  const t = text();
  const room = visit.room.value;
  if (room.mine.muted) return t.room.mutedNote;
  if (room.questions.rules.frozen) return t.qa.frozen;
  if (room.questions.rules.closed) return t.qa.closed;
  const { state } = room.session;
  return state === "doors" || state === "backstage" || state === "live" ? null : t.qa.notYet;
}

/** How many people want to know this; null where counts are hidden from this viewer. */
export function votesOf(visit: Visit, id: string): number | null {
  const votes = visit.view.value?.signals.votes?.[id];
  if (votes !== undefined) return votes;
  const hidden = visit.room.value.session.settings?.qa.counts_hidden && !visit.isStaff.value;
  return hidden ? null : 0;
}

const RANK = { live: 0, next: 1, open: 2, answered: 3 } as Record<string, number>;

/** The public list: the one being answered, the next, the open by votes, the answered; its order waits for the reader. */
export function Questions({ onAsk }: { onAsk: () => void }) {
  const visit = useVisit();
  const t = text().qa;
  const room = visit.room.value;
  const [newest, setNewest] = useState(false);
  const mine = Object.values(room.mine.questions).sort((a, b) => b.number - a.number);
  const wanted = Object.values(room.questions.listed)
    .sort(
      (a, b) =>
        (RANK[a.state] ?? 9) - (RANK[b.state] ?? 9) ||
        (a.place ?? 0) - (b.place ?? 0) ||
        (newest ? 0 : (votesOf(visit, b.id) ?? 0) - (votesOf(visit, a.id) ?? 0)) ||
        b.number - a.number,
    )
    .map((question) => question.id);
  const { order, stale, apply, hold } = useFrozenOrder(wanted, newest);
  const sending = visit.items.value.filter((item) => item.cmd.t === "ask");
  return (
    <div class="questions" {...hold}>
      <div class="questions-head">
        <Button
          variant="primary"
          block
          icon={<CircleHelp aria-hidden="true" />}
          blocked={askBlocked(visit)}
          testid="ask-open-panel"
          onClick={onAsk}
        >
          {t.ask}
        </Button>
        <Select
          label={t.sort}
          value={newest ? "new" : "votes"}
          options={[
            { value: "votes", label: t.sortVotes },
            { value: "new", label: t.sortNew },
          ]}
          onChange={(value) => setNewest(value === "new")}
        />
      </div>
      <section class="questions-list" tabIndex={0} aria-label={t.title} data-testid="questions">
        {(mine.length > 0 || sending.length > 0) && (
          <section class="stack tight" aria-labelledby="mine">
            <h2 id="mine" class="small">
              {t.mine}
            </h2>
            <ul class="stack tight">
              {sending.map((item) => (
                <SendingCard key={item.nonce} item={item} />
              ))}
              {mine.map((question) => (
                <OwnCard key={question.id} question={question} />
              ))}
            </ul>
          </section>
        )}
        {stale > 0 && (
          <Button class="apply" size="small" variant="primary" testid="apply-order" onClick={apply}>
            {t.apply(stale)}
          </Button>
        )}
        {order.length === 0 && mine.length === 0 && sending.length === 0 && (
          <Empty icon={<CircleHelp aria-hidden="true" />}>{t.empty}</Empty>
        )}
        <ul class="stack tight">
          {order.map((id) => {
            const question = room.questions.listed[id];
            return question ? <QuestionCard key={id} question={question} /> : null;
          })}
        </ul>
      </section>
    </div>
  );
}

/** A question on its way, or one that was refused. Under a new policy it goes only when its asker has read that. */
function SendingCard({ item }: { item: Item<AnyCommand> }) {
  const visit = useVisit();
  const t = text();
  const anonymity = visit.room.value.session.settings?.qa.anonymity ?? "anonymous";
  const { cmd } = item;
  if (cmd.t !== "ask") return null;
  const changed = item.why === "policy_changed";
  return (
    <li class="question own" data-testid="question-sending" data-state={item.state}>
      <p>{cmd.text}</p>
      {item.state === "failed" ? (
        <>
          {changed && (
            <p class="row small" data-testid="sending-who">
              <ShieldAlert size={18} aria-hidden="true" />
              {t.qa.who[anonymity]}
            </p>
          )}
          <div class="row wrap">
            <Badge tone="warn">{t.refusals[item.why ?? ""] ?? t.refusedOther}</Badge>
            <Button
              size="small"
              testid="sending-again"
              onClick={() => visit.resend(item.nonce, changed ? { ...cmd, anonymity } : undefined)}
            >
              {changed ? t.qa.sendSo : t.chat.resend}
            </Button>
            <Button size="small" variant="quiet" onClick={() => visit.discard(item.nonce)}>
              {t.chat.discard}
            </Button>
          </div>
        </>
      ) : (
        <Badge>{visit.connected.value ? t.chat.sending : t.chat.queued}</Badge>
      )}
    </li>
  );
}

/** Keeps an order while pointer or focus is inside; tells how many items would move. Choosing another `sort` applies it. */
function useFrozenOrder(wanted: string[], sort: boolean) {
  const [held, setHeld] = useState(false);
  const [, redraw] = useState(0);
  const inside = useRef({ pointer: false, focus: false });
  const shown = useRef<string[]>([]);
  const sorted = useRef(sort);
  if (!held || sorted.current !== sort) shown.current = wanted;
  sorted.current = sort;
  const order = [
    ...shown.current.filter((id) => wanted.includes(id)),
    ...wanted.filter((id) => !shown.current.includes(id)),
  ];
  const stale = order.filter((id, i) => wanted[i] !== id).length;
  const note = (change: Partial<typeof inside.current>) => {
    Object.assign(inside.current, change);
    setHeld(inside.current.pointer || inside.current.focus);
  };
  return {
    order,
    stale,
    apply: () => {
      shown.current = wanted;
      redraw((n) => n + 1);
    },
    hold: {
      onPointerEnter: () => note({ pointer: true }),
      onPointerLeave: () => note({ pointer: false }),
      onFocusIn: () => note({ focus: true }),
      onFocusOut: (event: FocusEvent) => {
        const [list, to] = [event.currentTarget, event.relatedTarget];
        note({ focus: list instanceof Node && to instanceof Node && list.contains(to) });
      },
    },
  };
}

/** What became of a question; once the session is over, nothing is being answered or waited for any more. */
function StateOf({ state, over }: { state: OwnQuestion["state"]; over?: boolean | undefined }) {
  const t = text().qa;
  if (over && state === "live") return <Badge tone="good">{t.overStates.live}</Badge>;
  if (over && WAITING.has(state)) return <Badge>{t.overStates.other}</Badge>;
  const words = t.states[state];
  const tone = {
    live: "live",
    next: "accent",
    returned: "warn",
    answered: "good",
    declined: "warn",
  } as const;
  return <Badge tone={tone[state as keyof typeof tone] ?? "plain"}>{words}</Badge>;
}

const WAITING: ReadonlySet<string> = new Set(["pending", "returned", "open", "next"]);

function QuestionCard({ question }: { question: PublicQuestion }) {
  const visit = useVisit();
  const t = text();
  const room = visit.room.value;
  const mine = room.mine.questions[question.id] !== undefined;
  const voted = room.mine.votes.has(question.id);
  const votes = votesOf(visit, question.id);
  const open = question.state === "open" || question.state === "next";
  const blocked = room.questions.rules.frozen ? t.qa.frozen : visit.blocked.value;
  return (
    <li
      class={`question ${question.state}`}
      data-testid="question"
      data-question={question.id}
      data-state={question.state}
    >
      <div class="row wrap tight">
        <span class="small soft num">#{question.number}</span>
        <StateOf state={question.state} />
        {question.addressee && <Badge>{t.qa.to(visit.card(question.addressee).name)}</Badge>}
        <span class="grow" />
        <span class="small soft clip">
          {question.author ? visit.card(question.author).name : t.common.anonymous}
        </span>
      </div>
      <p class="prewrap">{question.text || t.qa.wordless}</p>
      {question.answer && (
        <p class="answer prewrap">
          <span class="small strong">{t.qa.answer}</span> {question.answer}
        </p>
      )}
      <div class="row between">
        {open && !mine ? (
          <Button
            size="small"
            pressed={voted}
            blocked={blocked}
            icon={<ArrowBigUp aria-hidden="true" />}
            testid="vote"
            onClick={() => void visit.ask({ t: "vote", id: question.id, on: !voted })}
          >
            {voted ? t.qa.voted : t.qa.vote}
          </Button>
        ) : (
          <span class="small soft">{mine ? t.qa.own : question.how ? t.qa.how[question.how] : ""}</span>
        )}
        {votes !== null && votes > 0 && <span class="small soft num">{t.qa.votes(count(votes))}</span>}
      </div>
    </li>
  );
}

/** One's own question: always visible to oneself, with its state and what was said about it. */
export function OwnCard({ question, over }: { question: OwnQuestion; over?: boolean }) {
  const visit = useVisit();
  const t = text().qa;
  const [editing, setEditing] = useState<string | null>(null);
  const area = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => area.current?.focus(), [editing !== null]);
  const { least, most } = visit.room.value.session.settings?.qa ?? { least: 5, most: 300 };
  const size = length(editing ?? "");
  const wrong = size > most ? t.tooLong(size - most) : size < least ? t.tooShort(least) : null;
  const into = question.into ? visit.room.value.questions.listed[question.into] : undefined;
  const revisable = !over && (question.state === "pending" || question.state === "returned");
  const withdrawable = revisable || (!over && (question.state === "open" || question.state === "next"));
  return (
    <li
      class="question own"
      data-testid="own-question"
      data-question={question.id}
      data-state={question.state}
    >
      <div class="row wrap tight">
        <span class="small soft num">#{question.number}</span>
        <StateOf state={question.state} over={over} />
        {into && <span class="small">{t.mergedInto(String(into.number))}</span>}
      </div>
      <p class="prewrap">{question.text || t.wordless}</p>
      {question.reason && (
        <p class="small soft">
          {t.reasons[question.reason]}
          {question.note ? text().common.pair("", question.note) : ""}
        </p>
      )}
      {question.answer && (
        <p class="answer prewrap">
          <span class="small strong">{question.how === "private" ? t.how.private : t.answer}</span>{" "}
          {question.answer}
        </p>
      )}
      {editing !== null ? (
        <form
          class="stack tight"
          onSubmit={(event) => {
            event.preventDefault();
            if (wrong) return;
            void visit.ask({ t: "revise", id: question.id, text: editing.trim() }).then(({ ok }) => {
              if (ok) setEditing(null);
            });
          }}
        >
          <textarea
            class="area"
            rows={3}
            ref={area}
            aria-label={t.label}
            aria-invalid={wrong !== null}
            value={editing}
            data-testid="revise-text"
            onInput={(event) => setEditing(event.currentTarget.value)}
          />
          <div class="row">
            <Button type="submit" size="small" variant="primary" blocked={wrong} testid="revise-send">
              {t.send}
            </Button>
            <Button size="small" onClick={() => setEditing(null)}>
              {text().common.cancel}
            </Button>
          </div>
        </form>
      ) : withdrawable ? (
        <div class="row wrap">
          {revisable && (
            <Button size="small" testid="revise" onClick={() => setEditing(question.text)}>
              {t.revise}
            </Button>
          )}
          {withdrawable && (
            <Button
              size="small"
              variant="quiet"
              icon={<Undo2 aria-hidden="true" />}
              testid="withdraw"
              blocked={visit.blocked.value}
              onClick={() => void visit.ask({ t: "withdraw", id: question.id })}
            >
              {t.withdraw}
            </Button>
          )}
        </div>
      ) : null}
    </li>
  );
}

/** The form: who can see the name, for whom, how long, what is alike, and a warning before harm is done. */
export function AskDialog({ onClose }: { onClose: () => void }) {
  const visit = useVisit();
  const t = text().qa;
  const room = visit.room.value;
  const policy = room.session.settings?.qa ?? { anonymity: "anonymous" as const, least: 5, most: 300 };
  const [words, setWords] = useDraft("ask");
  const [addressee, setAddressee] = useState("");
  const [named, setNamed] = useState(false);
  const [told] = useState(policy.anonymity);
  const area = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => area.current?.focus(), []);
  const size = length(words);
  const over = size - policy.most;
  const short = size > 0 && size < policy.least;
  const alike = similar(
    words,
    Object.values(room.questions.listed).filter(
      (each) => (each.state === "open" || each.state === "next") && !room.mine.questions[each.id],
    ),
  );
  const hints = privacyHints(words);
  const who = policy.anonymity === "anonymous" && named ? t.who.anonymousNamed : t.who[policy.anonymity];
  const people = speakers(visit);
  const blocked =
    askBlocked(visit) ?? (over > 0 ? t.tooLong(over) : size < policy.least ? t.tooShort(policy.least) : null);
  return (
    <Dialog title={t.ask} onClose={onClose} testid="ask-dialog">
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (blocked) return;
          void visit.ask({
            t: "ask",
            text: words.trim(),
            anonymity: told,
            ...(addressee ? { addressee } : {}),
            ...(named && policy.anonymity === "anonymous" ? { named } : {}),
          });
          setWords("");
          onClose();
        }}
      >
        <div class="field">
          <label for="ask-text">{t.label}</label>
          <textarea
            id="ask-text"
            ref={area}
            class="area"
            rows={4}
            value={words}
            placeholder={t.placeholder}
            aria-describedby="ask-count ask-who"
            aria-invalid={over > 0}
            data-testid="ask-text"
            onInput={(event) => setWords(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === "Enter" && (event.ctrlKey || event.metaKey))
                event.currentTarget.form?.requestSubmit();
            }}
          />
          <div class="row between">
            <span class="hint">{over > 0 ? t.tooLong(over) : short ? t.tooShort(policy.least) : ""}</span>
            <span id="ask-count" class={`hint num ${over > 0 ? "over" : ""}`}>
              {t.count(size, policy.most)}
            </span>
          </div>
        </div>
        <p class="row small" id="ask-who" data-testid="ask-who">
          <ShieldAlert size={18} aria-hidden="true" />
          {who}
        </p>
        {policy.anonymity === "anonymous" && (
          <Switch label={t.named} checked={named} onChange={setNamed} testid="ask-named" />
        )}
        {people.length > 1 && (
          <Select
            label={t.addressee}
            value={addressee}
            options={[
              { value: "", label: t.everyone },
              ...people.map((person) => ({ value: person.id, label: withSan(person.name) })),
            ]}
            testid="ask-addressee"
            onChange={setAddressee}
          />
        )}
        {hints.length > 0 && (
          <Notice
            tone="warn"
            icon={<ShieldAlert aria-hidden="true" />}
            role="status"
            testid="privacy-warning"
          >
            <p class="strong">{t.privacyTitle}</p>
            <ul>
              {hints.map((hint) => (
                <li key={hint}>{t.privacy[hint]}</li>
              ))}
            </ul>
            <p>{t.privacyHint}</p>
          </Notice>
        )}
        {alike.length > 0 && (
          <Notice icon={<Lightbulb aria-hidden="true" />} role="status" testid="similar">
            <p>{t.similar}</p>
            <ul class="stack tight">
              {alike.map((question) => (
                <li key={question.id} class="row">
                  <span class="grow">{question.text}</span>
                  <Button
                    size="small"
                    pressed={room.mine.votes.has(question.id)}
                    icon={<ArrowBigUp aria-hidden="true" />}
                    label={t.vote}
                    onClick={() =>
                      void visit.ask({ t: "vote", id: question.id, on: !room.mine.votes.has(question.id) })
                    }
                  />
                </li>
              ))}
            </ul>
          </Notice>
        )}
        <Button type="submit" variant="primary" size="large" block blocked={blocked} testid="ask-send">
          {t.send}
        </Button>
      </form>
    </Dialog>
  );
}
