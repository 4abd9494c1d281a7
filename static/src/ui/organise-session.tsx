import { Check, Copy, Download, QrCode, Ticket } from "lucide-preact";
import { useEffect, useState } from "preact/hooks";
import { encode } from "uqr";
import {
  type Links,
  type NewTicket,
  Problem,
  type RoleName,
  type SessionFacts,
  type SessionState,
} from "../core/api.ts";
import { text } from "../i18n/index.ts";
import { Page } from "./app.tsx";
import { count, moment, problem } from "./format.ts";
import { Keeps } from "./keeps.tsx";
import { Notice, Skeleton } from "./kit/bits.tsx";
import { Button } from "./kit/button.tsx";
import { Confirm, Dialog } from "./kit/dialog.tsx";
import { Select, TextField } from "./kit/field.tsx";
import { say } from "./kit/toast.tsx";
import { StateBadge } from "./organise.tsx";
import { api, navigate, takeFragment, tick, title } from "./page.ts";

const NEXT: Record<SessionState, SessionState[]> = {
  draft: ["doors", "closed"],
  published: ["doors", "backstage", "closed"],
  doors: ["backstage", "live", "after", "closed"],
  backstage: ["live", "doors", "after", "closed"],
  live: ["backstage", "after", "closed"],
  after: ["live", "closed"],
  closed: [],
};
const ROLES = ["attendee", "speaker", "moderator", "organiser"] as const;

/** One session as a page: links, tickets, state, counts, records, guarantees. */
export function OrganiseSession({ id }: { id: string }) {
  const t = text();
  const [facts, setFacts] = useState<SessionFacts | null>(null);
  const [error, setError] = useState<string | null>(null);
  const load = async () => {
    try {
      const token = takeFragment("token");
      if (token) await api.organiserEnter(token);
      setFacts(await api.session(id));
      setError(null);
    } catch (failure) {
      setError(failure instanceof Problem ? failure.code : "unknown");
    }
  };
  const beat = Math.floor(tick.value / 5000);
  useEffect(() => void load(), [beat]);
  title.value = facts?.title ?? t.organise.title;
  return (
    <Page>
      <a
        href="/organise"
        class="small"
        onClick={(event) => {
          event.preventDefault();
          navigate("/organise");
        }}
      >
        ← {t.organise.back}
      </a>
      {error && (
        <Notice tone="warn" role="alert">
          {problem(error)}
        </Notice>
      )}
      {!facts && !error && <Skeleton label={t.common.loading} lines={6} />}
      {facts && (
        <>
          <header class="stack tight">
            <div class="row wrap">
              <StateBadge state={facts.state} />
              <span class="small soft">{t.kinds[facts.kind].label}</span>
            </div>
            <h1 data-testid="session-title">{facts.title}</h1>
            <p class="soft num">{moment(facts.starts_at)}</p>
          </header>
          {!facts.links && (
            <Notice tone="warn">
              {t.organise.needToken} <a href="/">{t.start.organise}</a>
            </Notice>
          )}
          <Progress facts={facts} onMoved={() => void load()} />
          {facts.links && <LinkList links={facts.links} />}
          {facts.links && <Tickets id={facts.id} />}
          <section class="card stack">
            <Keeps of={facts} />
          </section>
          {facts.links && (
            <section class="card stack">
              <div>
                <h2>{t.organise.export}</h2>
                <p class="soft small">{t.organise.exportHint}</p>
              </div>
              <div class="row wrap">
                {(["json", "csv"] as const).map((format) => (
                  <a
                    key={format}
                    class="button secondary"
                    href={`/api/sessions/${facts.id}/export${format === "csv" ? "?format=csv" : ""}`}
                    download={`${facts.id}.${format}`}
                    data-testid={`export-${format}`}
                  >
                    <Download aria-hidden="true" />
                    {format.toUpperCase()}
                  </a>
                ))}
              </div>
            </section>
          )}
        </>
      )}
    </Page>
  );
}

function Progress({ facts, onMoved }: { facts: SessionFacts; onMoved: () => void }) {
  const t = text();
  const [asking, setAsking] = useState<"live" | "after" | "closed" | null>(null);
  const [pending, setPending] = useState<SessionState | null>(null);
  const move = async (state: SessionState) => {
    setPending(state);
    try {
      await api.state(facts.id, state);
      onMoved();
    } catch (failure) {
      say(problem(failure instanceof Problem ? failure.code : "unknown"));
    } finally {
      setPending(null);
    }
  };
  const counts = facts.counts ?? {};
  return (
    <section class="card stack">
      <div>
        <h2>{t.organise.state}</h2>
        <p class="small soft" data-testid="step">
          {t.organise.steps[facts.state]}
        </p>
      </div>
      <div class="row wrap">
        {facts.links?.organiser && (
          <a class="button primary" href={facts.links.organiser} data-testid="enter-room">
            {t.organise.enter}
          </a>
        )}
        {NEXT[facts.state].map((state) => (
          <Button
            key={state}
            variant={state === "live" ? "live" : state === "closed" ? "danger" : "secondary"}
            pending={pending === state}
            testid={`state-${state}`}
            onClick={() => {
              if (state === "live" || state === "after" || state === "closed") setAsking(state);
              else void move(state);
            }}
          >
            {facts.state === "live" && state === "backstage"
              ? t.lowerCurtain
              : t.stateActs[state as keyof typeof t.stateActs]}
          </Button>
        ))}
      </div>
      <dl class="counts">
        {(["inside", "waiting", "questions", "messages"] as const).map((key) => (
          <div key={key}>
            <dt>{t.organise[key]}</dt>
            <dd class="num" data-testid={`count-${key}`}>
              {count(counts[key] ?? 0)}
            </dd>
          </div>
        ))}
      </dl>
      {asking && (
        <Confirm
          {...{
            live: t.speaker.goLiveConfirm,
            after: t.organise.confirmEnd,
            closed: t.organise.confirmClose,
          }[asking]}
          danger
          testid={asking === "closed" ? "close-session" : "move-session"}
          onYes={() => void move(asking)}
          onClose={() => setAsking(null)}
        />
      )}
    </section>
  );
}

function CopyButton({ value, testid }: { value: string; testid?: string }) {
  const t = text().common;
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value);
      setDone(true);
      setTimeout(() => setDone(false), 2000);
    } catch {
      say(value);
    }
  };
  return (
    <Button
      size="small"
      icon={done ? <Check aria-hidden="true" /> : <Copy aria-hidden="true" />}
      testid={testid}
      onClick={() => void copy()}
    >
      {done ? t.copied : t.copy}
    </Button>
  );
}

/** A QR code as one path: nothing foreign is loaded, no markup is injected. */
function Qr({ value, label }: { value: string; label: string }) {
  const { data, size } = encode(value, { border: 2 });
  const path = data
    .flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : [])))
    .join("");
  return (
    <svg class="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label}>
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#111" />
    </svg>
  );
}

function LinkList({ links }: { links: Links }) {
  const t = text();
  const [shown, setShown] = useState<RoleName | null>(null);
  const link = shown && links[shown as keyof Links];
  return (
    <section class="card stack">
      <div>
        <h2>{t.organise.links}</h2>
        <p class="soft small">{t.organise.linksHint}</p>
      </div>
      <ul class="links">
        {ROLES.map((role) => {
          const value = links[role];
          return value ? (
            <li key={role} class="row wrap">
              <span class="link-role strong">{t.roles[role]}</span>
              <input
                class="input grow small"
                readOnly
                value={value}
                aria-label={t.roles[role]}
                data-testid={`link-${role}`}
                onFocus={(event) => event.currentTarget.select()}
              />
              <CopyButton value={value} testid={`copy-${role}`} />
              <Button
                size="small"
                icon={<QrCode aria-hidden="true" />}
                label={`${t.organise.qr}: ${t.roles[role]}`}
                testid={`qr-${role}`}
                onClick={() => setShown(role)}
              />
            </li>
          ) : null;
        })}
      </ul>
      {shown && link && (
        <Dialog
          title={`${t.organise.qr}: ${t.roles[shown]}`}
          onClose={() => setShown(null)}
          testid="qr-dialog"
        >
          <Qr value={link} label={`${t.organise.qr}: ${t.roles[shown]}`} />
          <p class="small soft">{link}</p>
        </Dialog>
      )}
    </section>
  );
}

function Tickets({ id }: { id: string }) {
  const t = text();
  const [name, setName] = useState("");
  const [profession, setProfession] = useState("");
  const [role, setRole] = useState<"attendee" | "speaker" | "presenter" | "moderator">("attendee");
  const [made, setMade] = useState<(NewTicket & { link: string })[]>([]);
  const [error, setError] = useState<string | null>(null);
  const [pending, setPending] = useState(false);
  const make = async (wanted: NewTicket) => {
    setPending(true);
    try {
      const { link, person } = await api.ticket(id, wanted);
      setMade([{ ...wanted, person, link }, ...made]);
      if (!wanted.person) {
        setName("");
        setProfession("");
      }
      setError(null);
    } catch (failure) {
      setError(problem(failure instanceof Problem ? failure.code : "unknown"));
    } finally {
      setPending(false);
    }
  };
  return (
    <section class="card stack">
      <div>
        <h2>{t.organise.tickets}</h2>
        <p class="soft small">{t.organise.ticketsHint}</p>
      </div>
      <form
        class="ticket-form"
        onSubmit={(event) => {
          event.preventDefault();
          const work = profession.trim();
          void make({ role, name: name.trim(), ...(work ? { profession: work } : {}) });
        }}
      >
        <TextField
          label={t.organise.ticketName}
          value={name}
          maxLength={40}
          required
          error={error}
          onInput={setName}
          testid="ticket-name"
        />
        <TextField
          label={t.door.profession + t.common.aside(t.common.optional)}
          value={profession}
          maxLength={40}
          onInput={setProfession}
          testid="ticket-profession"
        />
        <Select
          label={t.organise.ticketRole}
          value={role}
          testid="ticket-role"
          options={(["attendee", "speaker", "presenter", "moderator"] as const).map((value) => ({
            value,
            label: t.roles[value],
          }))}
          onChange={setRole}
        />
        <Button type="submit" icon={<Ticket aria-hidden="true" />} pending={pending} testid="ticket-make">
          {t.organise.ticketMake}
        </Button>
      </form>
      {made.length > 0 && (
        <ul class="links">
          {made.map((ticket) => (
            <li key={ticket.link} class="row wrap">
              <span class="link-role">
                <span class="strong">{ticket.name}</span>{" "}
                <span class="small soft">{t.roles[ticket.role]}</span>
              </span>
              <input
                class="input grow small"
                readOnly
                value={ticket.link}
                aria-label={ticket.name}
                data-testid="ticket-link"
              />
              <CopyButton value={ticket.link} />
              {ticket.role !== "attendee" && (
                <Button
                  pending={pending}
                  testid="ticket-again"
                  onClick={() => {
                    const { link: _, ...same } = ticket;
                    void make(same);
                  }}
                >
                  {t.organise.ticketAgain}
                </Button>
              )}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
