import { CalendarDays, ChevronRight, Plus, Users } from "lucide-preact";
import { useEffect, useState } from "preact/hooks";
import { type Anonymity, type Kind, Problem, type SessionFacts } from "../core/api.ts";
import { text } from "../i18n/index.ts";
import { Page } from "./app.tsx";
import { count, moment, problem } from "./format.ts";
import { Badge, Empty, Notice, Skeleton } from "./kit/bits.tsx";
import { Button } from "./kit/button.tsx";
import { Dialog } from "./kit/dialog.tsx";
import { Choices, Switch, TextField } from "./kit/field.tsx";
import { api, navigate, takeFragment, title } from "./page.ts";

export function StateBadge({ state }: { state: SessionFacts["state"] }) {
  const words = text().states[state];
  if (state === "live") return <Badge tone="live">{words}</Badge>;
  return <Badge tone={state === "doors" || state === "backstage" ? "good" : "plain"}>{words}</Badge>;
}

/** The organiser's list of sessions. */
export function Organise() {
  const t = text();
  title.value = t.organise.title;
  const [sessions, setSessions] = useState<SessionFacts[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [making, setMaking] = useState(false);
  const load = async () => {
    setError(null);
    try {
      const token = takeFragment("token");
      if (token) await api.organiserEnter(token);
      setSessions(await api.sessions());
    } catch (failure) {
      setError(failure instanceof Problem ? failure.code : "unknown");
    }
  };
  useEffect(() => void load(), []);
  return (
    <Page>
      <div class="row between wrap">
        <h1>{t.organise.title}</h1>
        <Button
          variant="primary"
          icon={<Plus aria-hidden="true" />}
          testid="session-new"
          blocked={error ? t.organise.needToken : null}
          onClick={() => setMaking(true)}
        >
          {t.organise.new}
        </Button>
      </div>
      {error && (
        <Notice tone="warn" role="alert">
          <p>{problem(error)}</p>
          <div class="row">
            <Button size="small" onClick={() => void load()}>
              {t.common.retry}
            </Button>
            <a href="/">{t.start.organise}</a>
          </div>
        </Notice>
      )}
      {!sessions && !error && <Skeleton label={t.common.loading} lines={4} />}
      {sessions?.length === 0 && (
        <div class="card">
          <Empty icon={<CalendarDays aria-hidden="true" />}>{t.organise.empty}</Empty>
        </div>
      )}
      {sessions && sessions.length > 0 && (
        <ul class="sessions" data-testid="sessions">
          {sessions.map((session) => (
            <li key={session.id}>
              <a
                class="card session-row"
                href={`/organise/${session.id}`}
                onClick={(event) => {
                  event.preventDefault();
                  navigate(`/organise/${session.id}`);
                }}
              >
                <div class="grow stack tight">
                  <div class="row wrap">
                    <StateBadge state={session.state} />
                    <span class="small soft">{t.kinds[session.kind].label}</span>
                  </div>
                  <h2>{session.title}</h2>
                  <p class="row wrap small soft num">
                    <span>{moment(session.starts_at)}</span>
                    <span class="row tight">
                      <Users size={14} aria-hidden="true" />
                      {count(session.counts?.inside ?? 0)} / {count(session.capacity)}
                    </span>
                  </p>
                </div>
                <ChevronRight aria-hidden="true" />
              </a>
            </li>
          ))}
        </ul>
      )}
      {making && <NewSessionDialog onClose={() => setMaking(false)} />}
    </Page>
  );
}

interface Template {
  capacity: number;
  moderated: boolean;
  anonymity: Anonymity;
  door: "knock" | "open";
}

const TEMPLATES: Record<Kind, Template> = {
  lecture: { capacity: 300, moderated: true, anonymity: "anonymous", door: "open" },
  case: { capacity: 30, moderated: true, anonymity: "full", door: "knock" },
  networking: { capacity: 24, moderated: false, anonymity: "named", door: "knock" },
  reading: { capacity: 40, moderated: false, anonymity: "named", door: "open" },
};

/** Tomorrow evening at half past seven, as an `<input type=datetime-local>` wants it. */
function tomorrowEvening(): string {
  const day = new Date(Date.now() + 86_400_000);
  const two = (n: number) => String(n).padStart(2, "0");
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}T19:30`;
}

/** RFC 3339 with the viewer's offset. */
function withOffset(value: string): string {
  const minutes = -new Date(value).getTimezoneOffset();
  const two = (n: number) => String(Math.abs(n)).padStart(2, "0");
  return `${value}:00${minutes < 0 ? "-" : "+"}${two(Math.trunc(minutes / 60))}:${two(minutes % 60)}`;
}

function NewSessionDialog({ onClose }: { onClose: () => void }) {
  const t = text();
  const [kind, setKind] = useState<Kind>("lecture");
  const [name, setName] = useState("");
  const [starts, setStarts] = useState(tomorrowEvening);
  const [shape, setShape] = useState<Template>(TEMPLATES.lecture);
  const [error, setError] = useState<string | null>(null);
  const [pending, setPending] = useState(false);
  const make = async () => {
    setPending(true);
    setError(null);
    try {
      const made = await api.create({
        title: name.trim(),
        kind,
        ...(starts ? { starts_at: withOffset(starts) } : {}),
        capacity: shape.capacity,
        qa: { moderated: shape.moderated, anonymity: shape.anonymity },
        door: shape.door,
      });
      navigate(`/organise/${made.id}`);
    } catch (failure) {
      setError(problem(failure instanceof Problem ? failure.code : "unknown"));
    } finally {
      setPending(false);
    }
  };
  const kinds = (Object.keys(TEMPLATES) as Kind[]).map((value) => ({ value, ...t.kinds[value] }));
  const anonymities = (["named", "anonymous", "full"] as const).map((value) => ({
    value,
    ...t.organise.anonymities[value],
  }));
  const doors = (["knock", "open"] as const).map((value) => ({ value, ...t.organise.doors[value] }));
  return (
    <Dialog title={t.organise.create} onClose={onClose} testid="session-dialog">
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void make();
        }}
      >
        <Choices
          legend={t.organise.template}
          value={kind}
          options={kinds}
          testid="kind"
          onChange={(next) => {
            setKind(next);
            setShape(TEMPLATES[next]);
          }}
        />
        <TextField
          label={t.organise.name}
          value={name}
          placeholder={t.organise.namePlaceholder}
          maxLength={120}
          required
          testid="title"
          onInput={setName}
        />
        <div class="two tight">
          <TextField
            label={t.organise.when}
            type="datetime-local"
            value={starts}
            testid="starts-at"
            onInput={setStarts}
          />
          <TextField
            label={t.organise.capacity}
            type="number"
            min={1}
            max={100000}
            value={String(shape.capacity)}
            testid="capacity"
            onInput={(value) => setShape({ ...shape, capacity: Number(value) || 1 })}
          />
        </div>
        <Choices
          legend={t.organise.anonymity}
          value={shape.anonymity}
          options={anonymities}
          testid="anonymity"
          onChange={(anonymity) => setShape({ ...shape, anonymity })}
        />
        <Choices
          legend={t.organise.door}
          value={shape.door}
          options={doors}
          testid="door"
          onChange={(door) => setShape({ ...shape, door })}
        />
        <Switch
          label={t.organise.moderated}
          checked={shape.moderated}
          testid="moderated"
          onChange={(moderated) => setShape({ ...shape, moderated })}
        />
        {error && (
          <Notice tone="warn" role="alert">
            {error}
          </Notice>
        )}
        <Button type="submit" variant="primary" size="large" block pending={pending} testid="session-create">
          {t.organise.make}
        </Button>
      </form>
    </Dialog>
  );
}
