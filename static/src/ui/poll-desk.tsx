import { Ellipsis, Plus, Vote, X } from "lucide-preact";
import { useEffect, useState } from "preact/hooks";
import { EMPTY, formOf, lacking, likeness, type Writing } from "../core/polls.ts";
import type { AnyCommand, Poll, PollForm } from "../core/wire.ts";
import { text } from "../i18n/index.ts";
import { useDraft } from "./drafts.ts";
import { count } from "./format.ts";
import { Badge, Empty } from "./kit/bits.tsx";
import { Button } from "./kit/button.tsx";
import { Confirm, Dialog } from "./kit/dialog.tsx";
import { Choices, Select, TextField } from "./kit/field.tsx";
import { Menu } from "./kit/menu.tsx";
import { Results } from "./polls.tsx";
import { useVisit } from "./visit.ts";

const OPTIONS_MOST = 10;
const RANK = { open: 0, draft: 1, closed: 2 } as const;

/** Why the form makes no poll yet, or null. */
function blockedBy(form: PollForm): string | null {
  const t = text().polls;
  const lacks = lacking(form);
  return lacks && { question: t.needQuestion, options: t.needOptions, difference: t.sameOption }[lacks];
}

interface Sheet {
  /** The draft that is being edited; none: a new poll. */
  poll?: Poll;
  from?: Writing;
}

/** Polls in the staff's hands: prepare, open, close, show. */
export function PollDesk() {
  const visit = useVisit();
  const t = text().polls;
  const [sheet, setSheet] = useState<Sheet | null>(null);
  const polls = Object.values(visit.room.value.polls.filed).sort(
    (a, b) => RANK[a.state] - RANK[b.state] || (b.number ?? 0) - (a.number ?? 0),
  );
  return (
    <div class="pane polls-desk" data-testid="poll-desk">
      <Button
        variant="primary"
        icon={<Plus aria-hidden="true" />}
        testid="poll-new"
        onClick={() => setSheet({})}
      >
        {t.new}
      </Button>
      {polls.length === 0 && <Empty icon={<Vote aria-hidden="true" />}>{t.deskEmpty}</Empty>}
      <ul class="stack">
        {polls.map((poll) => (
          <DeskCard key={poll.id} poll={poll} onSheet={setSheet} />
        ))}
      </ul>
      {sheet && <PollDialog {...sheet} onClose={() => setSheet(null)} />}
    </div>
  );
}

function DeskCard({ poll, onSheet }: { poll: Poll; onSheet: (sheet: Sheet) => void }) {
  const visit = useVisit();
  const t = text().polls;
  const [dropping, setDropping] = useState(false);
  const { id, version, state } = poll;
  const tally = visit.view.value?.tallies[id];
  const blocked = visit.blocked.value;
  const other = Object.values(visit.room.value.polls.filed).some(
    (each) => each.state === "open" && each.id !== id,
  );
  const fixed = poll.revealed && (poll.results ?? "closed") === "closed";
  const act = (cmd: AnyCommand) => () => void visit.ask(cmd);
  return (
    <li class={`poll ${state}`} data-testid="desk-poll" data-poll={id} data-state={state}>
      <div class="row wrap tight desk-head">
        {poll.number ? <span class="small soft num">#{poll.number}</span> : null}
        <Badge tone={state === "open" ? "accent" : "plain"}>{t.states[state]}</Badge>
        <Badge>{t.kinds[poll.kind].label}</Badge>
        {poll.shown && <Badge tone="good">{t.shown}</Badge>}
        <span class="grow" />
        {state === "open" && tally && <span class="small num">{t.voters(count(tally.voters))}</span>}
        <Menu
          label={`${text().common.more}: ${poll.text}`}
          icon={<Ellipsis aria-hidden="true" />}
          testid="poll-menu"
          items={[
            state === "open" && {
              label: t.closeQuietly,
              testid: "poll-close-quietly",
              onChoose: act({ t: "close_poll", id, version, show: false }),
            },
            state === "closed" &&
              !fixed && {
                label: t.reopen,
                testid: "poll-reopen",
                onChoose: act({ t: "reopen_poll", id, version }),
              },
            {
              label: t.again,
              testid: "poll-again",
              onChoose: () => onSheet({ from: likeness(poll) }),
            },
            state === "draft" && {
              label: t.drop,
              danger: true,
              testid: "poll-drop",
              onChoose: () => setDropping(true),
            },
          ]}
        />
      </div>
      <h2 class="poll-text">{poll.text}</h2>
      {tally?.counts && state !== "draft" ? (
        <Results poll={poll} tally={tally} />
      ) : (
        <>
          <ul class="desk-options" aria-label={t.kinds[poll.kind].label}>
            {poll.kind === "rating" ? (
              <li>
                {t.stepsOf(poll.options.length)}
                {poll.low || poll.high
                  ? `：1 ${poll.low ?? ""} – ${poll.options.length} ${poll.high ?? ""}`
                  : ""}
              </li>
            ) : (
              poll.options.map((option) => <li key={option.id}>{option.text}</li>)
            )}
          </ul>
          <p class="small soft">{t.hidden[poll.results ?? "closed"]}</p>
        </>
      )}
      <div class="row wrap tight">
        {state === "draft" && (
          <>
            <Button
              variant="primary"
              size="small"
              blocked={blocked ?? (other ? t.otherOpen : null)}
              testid="poll-open"
              onClick={act({ t: "open_poll", id, version })}
            >
              {t.open}
            </Button>
            <Button size="small" testid="poll-edit" onClick={() => onSheet({ poll, from: likeness(poll) })}>
              {t.edit}
            </Button>
          </>
        )}
        {state === "open" && (
          <Button
            variant="primary"
            size="small"
            blocked={blocked}
            testid="poll-close"
            onClick={act({ t: "close_poll", id, version })}
          >
            {t.close}
          </Button>
        )}
        {state === "closed" && (
          <Button
            variant={poll.shown ? "secondary" : "primary"}
            size="small"
            blocked={blocked}
            testid="poll-show"
            onClick={act({ t: "show_results", id, version, on: !poll.shown })}
          >
            {poll.shown ? t.hide : t.show}
          </Button>
        )}
      </div>
      {dropping && (
        <Confirm
          title={t.dropTitle}
          words={t.dropWords}
          yes={t.drop}
          danger
          testid="poll-drop-dialog"
          onYes={act({ t: "drop_poll", id, version })}
          onClose={() => setDropping(false)}
        />
      )}
    </li>
  );
}

function PollDialog({ poll, from, onClose }: Sheet & { onClose: () => void }) {
  const visit = useVisit();
  const t = text();
  const p = t.polls;
  // A new poll survives a reload; an edit starts from what stands, with the version that was on the screen.
  const [draft, keep] = useDraft("poll");
  const [form, setForm] = useState<Writing>(() => from ?? remembered(draft));
  const [version] = useState(poll?.version ?? 0);
  const [saving, setSaving] = useState(false);
  useEffect(() => {
    if (!poll) keep(JSON.stringify(form));
  }, [form]);
  const set = (change: Partial<Writing>) => setForm((before) => ({ ...before, ...change }));
  const ready = formOf(form);
  const save = async () => {
    setSaving(true);
    const cmd: AnyCommand = poll
      ? { t: "edit_poll", id: poll.id, version, poll: ready }
      : { t: "draft_poll", poll: ready };
    const { ok } = await visit.ask(cmd);
    setSaving(false);
    if (!ok) return;
    if (!poll) keep("");
    onClose();
  };
  const filled = form.options.filter((option) => option.trim()).length;
  const numbers = (first: number, last: number) =>
    Array.from({ length: Math.max(1, last - first + 1) }, (_, i) => ({
      value: String(first + i),
      label: p.items(first + i),
    }));
  const top = Math.max(2, filled);
  return (
    <Dialog
      title={poll ? p.edit : p.new}
      onClose={onClose}
      testid="poll-dialog"
      foot={
        <>
          <Button onClick={onClose}>{t.common.cancel}</Button>
          <Button
            variant="primary"
            blocked={blockedBy(ready) ?? visit.blocked.value}
            pending={saving}
            testid="poll-save"
            onClick={() => void save()}
          >
            {p.save}
          </Button>
        </>
      }
    >
      <TextField
        label={p.question}
        value={form.text}
        maxLength={200}
        placeholder={p.questionHolder}
        testid="poll-text"
        onInput={(words) => set({ text: words })}
      />
      <Choices
        legend={p.kind}
        value={form.kind}
        options={(["single", "multiple", "rating"] as const).map((value) => ({ value, ...p.kinds[value] }))}
        testid="poll-kind"
        onChange={(kind) => set({ kind })}
      />
      {form.kind === "rating" ? (
        <>
          <Select
            label={p.steps}
            value={String(form.scale)}
            options={Array.from({ length: 8 }, (_, i) => ({ value: String(i + 3), label: p.stepsOf(i + 3) }))}
            testid="poll-scale"
            onChange={(scale) => set({ scale: Number(scale) })}
          />
          <div class="pair">
            <TextField
              label={p.low}
              value={form.low}
              maxLength={20}
              placeholder={p.lowHolder}
              testid="poll-low"
              onInput={(low) => set({ low })}
            />
            <TextField
              label={p.high}
              value={form.high}
              maxLength={20}
              placeholder={p.highHolder}
              testid="poll-high"
              onInput={(high) => set({ high })}
            />
          </div>
        </>
      ) : (
        <Options options={form.options} onChange={(options) => set({ options })} />
      )}
      {form.kind === "multiple" && (
        <div class="pair">
          <Select
            label={p.least}
            value={String(Math.min(form.least, top))}
            options={numbers(1, top)}
            testid="poll-least"
            onChange={(least) => set({ least: Number(least) })}
          />
          <Select
            label={p.most}
            value={String(form.most === 0 ? top : Math.min(form.most, top))}
            options={numbers(Math.min(form.least, top), top)}
            testid="poll-most"
            onChange={(most) => set({ most: Number(most) })}
          />
        </div>
      )}
      <Choices
        legend={p.when}
        value={form.results}
        options={(["closed", "voted"] as const).map((value) => ({ value, ...p.whens[value] }))}
        testid="poll-when"
        onChange={(results) => set({ results })}
      />
    </Dialog>
  );
}

function remembered(draft: string): Writing {
  try {
    return { ...EMPTY, ...(JSON.parse(draft) as Partial<Writing>) };
  } catch {
    return EMPTY;
  }
}

/** The options, one line each. */
function Options({ options, onChange }: { options: string[]; onChange: (options: string[]) => void }) {
  const t = text().polls;
  return (
    <div class="stack tight">
      {options.map((option, at) => (
        <div class="option-line" key={at}>
          <TextField
            label={t.option(at + 1)}
            value={option}
            maxLength={80}
            testid="poll-option-text"
            onInput={(words) => onChange(options.with(at, words))}
          />
          {options.length > 2 && (
            <Button
              variant="quiet"
              icon={<X aria-hidden="true" />}
              label={t.removeOption(at + 1)}
              onClick={() => onChange(options.filter((_, i) => i !== at))}
            />
          )}
        </div>
      ))}
      {options.length < OPTIONS_MOST && (
        <Button
          size="small"
          icon={<Plus aria-hidden="true" />}
          testid="poll-add-option"
          onClick={() => onChange([...options, ""])}
        >
          {t.addOption}
        </Button>
      )}
    </div>
  );
}
