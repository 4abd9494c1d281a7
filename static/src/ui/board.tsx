import { ArrowDown, ArrowUp, ChevronLeft, ChevronRight, Ellipsis, Eye, ListChecks } from "lucide-preact";
import { useEffect, useState } from "preact/hooks";
import type { Question, Reason } from "../core/wire.ts";
import { text } from "../i18n/index.ts";
import { clock, count, withSan } from "./format.ts";
import { useShortcuts } from "./keys.tsx";
import { Badge, Empty, Notice } from "./kit/bits.tsx";
import { Button } from "./kit/button.tsx";
import { Dialog } from "./kit/dialog.tsx";
import { Choices, Select } from "./kit/field.tsx";
import { Menu } from "./kit/menu.tsx";
import { speakers, votesOf } from "./questions.tsx";
import { useVisit, type Visit } from "./visit.ts";

type Column = "pending" | "open" | "next" | "live" | "done";
const COLUMNS: readonly Column[] = ["pending", "open", "next", "live", "done"];
const DONE = new Set(["answered", "declined", "returned", "merged", "withdrawn"]);

type Sheet = "edit" | "return" | "decline" | "merge" | "text" | "private";

/** Every question in its column: pending by age, open by votes, next in order, done newest first. */
function useColumns(visit: Visit): Record<Column, Question[]> {
  const all = Object.values(visit.room.value.questions.filed);
  const state = (name: string) => all.filter((question) => question.state === name);
  const last = (question: Question) => question.steps?.at(-1)?.at ?? question.at;
  return {
    pending: state("pending").sort((a, b) => a.number - b.number),
    open: state("open").sort(
      (a, b) => (votesOf(visit, b.id) ?? 0) - (votesOf(visit, a.id) ?? 0) || a.number - b.number,
    ),
    next: state("next").sort((a, b) => (a.place ?? 0) - (b.place ?? 0)),
    live: state("live"),
    done: all.filter((question) => DONE.has(question.state)).sort((a, b) => last(b) - last(a)),
  };
}

/** The queue: five columns on a desk, one card at a time on a phone; all of it works by keys. */
export function Board() {
  const visit = useVisit();
  const t = text().board;
  const columns = useColumns(visit);
  const [column, setColumn] = useState<Column>("pending");
  const [chosen, setChosen] = useState<string | null>(null);
  const [sheet, setSheet] = useState<{ kind: Sheet; id: string } | null>(null);
  const flat = COLUMNS.flatMap((name) => columns[name]);
  const at = flat.findIndex((question) => question.id === chosen);
  const pick = (step: number) => {
    const next = flat[Math.min(flat.length - 1, Math.max(0, at + step))];
    if (!next) return;
    setChosen(next.id);
    document.querySelector<HTMLElement>(`[data-question="${next.id}"].board-card`)?.focus();
  };
  const current = flat[at];
  const on = (state: Question["state"], act: (question: Question) => void) => () => {
    if (current?.state === state) act(current);
  };
  useShortcuts({
    j: () => pick(1),
    k: () => pick(-1),
    a: on("pending", ({ id, version }) => void visit.ask({ t: "approve", id, version })),
    n: on("open", ({ id, version }) => void visit.ask({ t: "queue", id, version })),
    l: () => {
      if (current && (current.state === "next" || current.state === "open")) {
        void visit.ask({ t: "take", id: current.id, version: current.version });
      }
    },
    r: on("live", ({ id, version }) => void visit.ask({ t: "answer", id, version, how: "live" })),
    d: on("pending", ({ id }) => setSheet({ kind: "decline", id })),
  });
  const about = sheet && visit.room.value.questions.filed[sheet.id];
  return (
    <div class="board-wrap">
      <div class="board-tabs" role="tablist" aria-label={t.pick}>
        {COLUMNS.map((name) => (
          <button
            type="button"
            key={name}
            role="tab"
            class="tab"
            aria-selected={name === column}
            data-testid={`column-tab-${name}`}
            onClick={() => setColumn(name)}
          >
            {t.columns[name]}
            <span class="small num">{columns[name].length}</span>
          </button>
        ))}
      </div>
      <div class="board" data-testid="board">
        {COLUMNS.map((name) => (
          <BoardColumn
            key={name}
            name={name}
            shown={name === column}
            questions={columns[name]}
            chosen={chosen}
            onChoose={setChosen}
            onSheet={(kind, id) => setSheet({ kind, id })}
          />
        ))}
      </div>
      <p class="board-keys small soft">{t.keys}</p>
      {sheet && about && <SheetDialog kind={sheet.kind} question={about} onClose={() => setSheet(null)} />}
    </div>
  );
}

interface ColumnProps {
  name: Column;
  shown: boolean;
  questions: Question[];
  chosen: string | null;
  onChoose: (id: string) => void;
  onSheet: (kind: Sheet, id: string) => void;
}

function BoardColumn({ name, shown, questions, chosen, onChoose, onSheet }: ColumnProps) {
  const t = text().board;
  const [single, setSingle] = useState(0);
  const at = Math.min(single, Math.max(0, questions.length - 1));
  const id = `column-${name}`;
  return (
    <section
      class={`board-column ${name} ${shown ? "shown" : ""}`}
      aria-labelledby={id}
      data-testid={`column-${name}`}
    >
      <h2 id={id} class="board-column-head">
        {t.columns[name]}
        <span class="num soft">{questions.length}</span>
      </h2>
      {questions.length > 1 && (
        <div class="board-single row between">
          <Button
            size="small"
            icon={<ChevronLeft aria-hidden="true" />}
            label={text().keys.previous}
            onClick={() => setSingle(Math.max(0, at - 1))}
          />
          <span class="small num">{t.card(at + 1, questions.length)}</span>
          <Button
            size="small"
            icon={<ChevronRight aria-hidden="true" />}
            label={text().keys.next}
            onClick={() => setSingle(Math.min(questions.length - 1, at + 1))}
          />
        </div>
      )}
      {questions.length === 0 && <Empty icon={<ListChecks aria-hidden="true" />}>{t.empty[name]}</Empty>}
      <ul class="board-cards">
        {questions.map((question, i) => (
          <BoardCard
            key={question.id}
            question={question}
            single={i === at}
            chosen={question.id === chosen}
            line={name === "next" ? questions.map((each) => each.id) : []}
            onChoose={() => onChoose(question.id)}
            onSheet={(kind) => onSheet(kind, question.id)}
          />
        ))}
      </ul>
    </section>
  );
}

interface CardProps {
  question: Question;
  single: boolean;
  chosen: boolean;
  line: string[];
  onChoose: () => void;
  onSheet: (kind: Sheet) => void;
}

function BoardCard({ question, single, chosen, line, onChoose, onSheet }: CardProps) {
  const visit = useVisit();
  const t = text();
  const claim = question.claim && question.claim.until > visit.now.value ? question.claim : null;
  const votes = votesOf(visit, question.id);
  return (
    <li
      class={`board-card ${question.state} ${single ? "single" : ""} ${chosen ? "chosen" : ""}`}
      tabIndex={-1}
      onFocusIn={onChoose}
      data-testid="board-card"
      data-question={question.id}
      data-state={question.state}
    >
      <div class="row wrap tight small board-head">
        <span class="soft num">#{question.number}</span>
        <time class="soft num">{clock(question.at)}</time>
        {votes !== null && votes > 0 && <Badge>{t.qa.votes(count(votes))}</Badge>}
        {question.addressee && <Badge tone="accent">{t.qa.to(visit.card(question.addressee).name)}</Badge>}
        {question.labels?.map((label) => (
          <Badge key={label}>{label}</Badge>
        ))}
        {DONE.has(question.state) && (
          <Badge tone={question.state === "answered" ? "good" : "plain"}>{t.qa.states[question.state]}</Badge>
        )}
      </div>
      <p class="prewrap board-text">{question.text || t.qa.wordless}</p>
      <p class="small soft clip">
        {question.author ? visit.card(question.author).name : t.board.unknownAsker}
        {question.author && !question.shown ? t.common.aside(t.common.anonymous) : ""}
      </p>
      {claim && (
        <p class="small claim" data-testid="claim">
          <Eye size={14} aria-hidden="true" />
          {t.board.claimedBy(claim.by === visit.myId.value ? t.common.you : visit.card(claim.by).name)}
        </p>
      )}
      {question.reason && (
        <p class="small soft">
          {t.qa.reasons[question.reason]}
          {question.note ? `：${question.note}` : ""}
        </p>
      )}
      {question.answer && <p class="small answer prewrap">{question.answer}</p>}
      <CardActions question={question} line={line} onSheet={onSheet} />
    </li>
  );
}

function CardActions({ question, line, onSheet }: Pick<CardProps, "question" | "line" | "onSheet">) {
  const visit = useVisit();
  const t = text().board;
  const { id, version, state } = question;
  const blocked = visit.blocked.value;
  const place = line.indexOf(id);
  const move = (step: number) => {
    const ids = line.filter((each) => each !== id);
    ids.splice(place + step, 0, id);
    void visit.ask({ t: "order_next", ids });
  };
  const main = {
    pending: {
      words: t.approve,
      testid: "approve",
      run: () => void visit.ask({ t: "approve", id, version }),
    },
    open: { words: t.queue, testid: "queue-next", run: () => void visit.ask({ t: "queue", id, version }) },
    next: { words: t.take, testid: "take", run: () => void visit.ask({ t: "take", id, version }) },
    live: {
      words: t.answered,
      testid: "answered",
      run: () => void visit.ask({ t: "answer", id, version, how: "live" }),
    },
    answered: { words: t.reopen, testid: "reopen", run: () => void visit.ask({ t: "reopen", id, version }) },
    declined: { words: t.reopen, testid: "reopen", run: () => void visit.ask({ t: "reopen", id, version }) },
  }[state as "pending"];
  const listed = state === "open" || state === "next" || state === "live";
  const sheet = (kind: Sheet, label: string, testid: string) => ({
    label,
    testid,
    onChoose: () => onSheet(kind),
  });
  const people = speakers(visit);
  return (
    <div class="row wrap tight board-actions">
      {main && (
        <Button
          size="small"
          variant={state === "answered" || state === "declined" ? "secondary" : "primary"}
          blocked={blocked}
          testid={main.testid}
          onClick={main.run}
        >
          {main.words}
        </Button>
      )}
      {state === "pending" && (
        <Button size="small" blocked={blocked} testid="decline" onClick={() => onSheet("decline")}>
          {t.decline}
        </Button>
      )}
      {place >= 0 && (
        <>
          <Button
            size="small"
            variant="quiet"
            icon={<ArrowUp aria-hidden="true" />}
            label={t.up}
            blocked={place === 0 ? t.up : blocked}
            testid="move-up"
            onClick={() => move(-1)}
          />
          <Button
            size="small"
            variant="quiet"
            icon={<ArrowDown aria-hidden="true" />}
            label={t.down}
            blocked={place === line.length - 1 ? t.down : blocked}
            testid="move-down"
            onClick={() => move(1)}
          />
        </>
      )}
      <span class="grow" />
      <Menu
        label={`${text().common.more} #${question.number}`}
        icon={<Ellipsis aria-hidden="true" />}
        testid="card-menu"
        items={[
          state === "pending" && sheet("edit", t.approveEdit, "approve-edit"),
          state === "pending" && {
            label: t.claim,
            testid: "claim-mark",
            onChoose: () => void visit.ask({ t: "claim", id, version }),
          },
          state === "pending" && sheet("return", t.return, "return"),
          state === "open" && {
            label: t.take,
            testid: "menu-take",
            onChoose: () => void visit.ask({ t: "take", id, version }),
          },
          (state === "next" || state === "live") && {
            label: t.putBack,
            testid: "put-back",
            onChoose: () => void visit.ask({ t: "put_back", id, version }),
          },
          (listed || state === "answered") && sheet("text", t.inText, "answer-text"),
          listed && sheet("private", t.privately, "answer-private"),
          (state === "pending" || state === "open" || state === "next") && sheet("merge", t.merge, "merge"),
          (state === "open" || state === "next") && sheet("decline", t.decline, "decline-later"),
          ...(state === "pending" || listed
            ? people
                .filter((person) => person.id !== question.addressee)
                .map((person) => ({
                  label: `${t.address}：${withSan(person.name)}`,
                  testid: "address",
                  onChoose: () => void visit.ask({ t: "address", id, version, to: person.id }),
                }))
            : []),
          (state === "pending" || listed) &&
            question.addressee !== undefined &&
            question.addressee !== "" && {
              label: `${t.address}：${text().qa.everyone}`,
              onChoose: () => void visit.ask({ t: "address", id, version, to: "" }),
            },
        ]}
      />
    </div>
  );
}

const REASONS: readonly Reason[] = [
  "out_of_scope",
  "duplicate",
  "identifies_a_person",
  "out_of_time",
  "other",
];

/** Whatever a transition needs to be told: words, a reason, a target. */
function SheetDialog({ kind, question, onClose }: { kind: Sheet; question: Question; onClose: () => void }) {
  const visit = useVisit();
  const t = text();
  const { id } = question;
  // The version that was on the screen when the person began: a later one is a conflict, never overwritten.
  const [version] = useState(question.version);
  const [words, setWords] = useState(
    kind === "edit" ? question.text : kind === "text" ? (question.answer ?? "") : "",
  );
  const [reason, setReason] = useState<Reason>("out_of_scope");
  const targets = Object.values(visit.room.value.questions.filed).filter(
    (each) => each.id !== id && (each.state === "open" || each.state === "next"),
  );
  const [into, setInto] = useState(targets[0]?.id ?? "");
  useEffect(() => {
    // Looking at it warns the colleagues for a minute.
    if (kind !== "text" && kind !== "private" && question.state === "pending" && !question.claim) {
      void visit.ask({ t: "claim", id, version });
    }
  }, []);
  const titles: Record<Sheet, string> = {
    edit: t.board.approveEdit,
    return: t.board.return,
    decline: t.board.decline,
    merge: t.board.merge,
    text: t.board.inText,
    private: t.board.privately,
  };
  const note = words.trim();
  const send = () => {
    if (kind === "edit") void visit.ask({ t: "approve", id, version, text: note });
    else if (kind === "return")
      void visit.ask({ t: "return_question", id, version, reason, ...(note ? { note } : {}) });
    else if (kind === "decline")
      void visit.ask({ t: "decline", id, version, reason, ...(note ? { note } : {}) });
    else if (kind === "merge") void visit.ask({ t: "merge", id, version, into });
    else void visit.ask({ t: "answer", id, version, how: kind, text: note });
    onClose();
  };
  const needsWords =
    kind === "edit" ||
    kind === "private" ||
    ((kind === "return" || kind === "decline") && reason === "other");
  const blocked =
    needsWords && !note ? t.refusals.too_short : kind === "merge" && !into ? t.board.noMergeTargets : null;
  return (
    <Dialog
      title={`${titles[kind]} #${question.number}`}
      onClose={onClose}
      testid={`dialog-${kind}`}
      foot={
        <>
          <Button onClick={onClose}>{t.common.cancel}</Button>
          <Button variant="primary" blocked={blocked ?? null} testid="sheet-yes" onClick={send}>
            {titles[kind]}
          </Button>
        </>
      }
    >
      {question.version !== version && (
        <Notice tone="warn" role="status">
          {t.board.conflictPlain}
        </Notice>
      )}
      {(kind !== "edit" || question.version !== version) && <p class="quote prewrap">{question.text}</p>}
      {(kind === "return" || kind === "decline") && (
        <Choices
          legend={t.board.reason}
          value={reason}
          options={REASONS.map((value) => ({ value, label: t.qa.reasons[value] }))}
          testid="reason"
          onChange={setReason}
        />
      )}
      {kind === "merge" &&
        (targets.length === 0 ? (
          <p class="soft">{t.board.noMergeTargets}</p>
        ) : (
          <Select
            label={t.board.mergeInto}
            value={into}
            options={targets.map((each) => ({
              value: each.id,
              label: `#${each.number} ${each.text.slice(0, 40)}`,
            }))}
            testid="merge-into"
            onChange={setInto}
          />
        ))}
      {kind !== "merge" && (
        <label class="field">
          <span class="label">
            {kind === "edit"
              ? t.qa.label
              : kind === "text" || kind === "private"
                ? t.board.answerText
                : t.board.note}
          </span>
          <textarea
            class="area"
            rows={4}
            value={words}
            data-testid="sheet-text"
            onInput={(event) => setWords(event.currentTarget.value)}
          />
          <span class="hint">
            {kind === "text"
              ? t.board.answerPublic
              : kind === "private"
                ? t.board.answerPrivate
                : kind === "edit"
                  ? ""
                  : t.board.noteHint}
          </span>
        </label>
      )}
    </Dialog>
  );
}
