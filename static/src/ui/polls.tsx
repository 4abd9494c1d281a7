import { signal } from "@preact/signals";
import { Check, EyeOff, Vote, X } from "lucide-preact";
import { useId } from "preact/hooks";
import { type AnyPoll, average, castable, foremost, inOrder } from "../core/polls.ts";
import type { PublicPoll, Tally } from "../core/wire.ts";
import { locale, text } from "../i18n/index.ts";
import { count } from "./format.ts";
import { Badge, Empty } from "./kit/bits.tsx";
import { Button } from "./kit/button.tsx";
import { useVisit, type Visit } from "./visit.ts";

/** Choices made and not yet sent, by poll: they outlive a change of tab. */
const picked = signal<Readonly<Record<string, readonly string[]>>>({});

/** Results that this person has put away, by poll and version. */
const putAway = signal<ReadonlySet<string>>(new Set());

const tallyOf = (visit: Visit, id: string): Tally | undefined => visit.view.value?.tallies[id];

/** The polls that were opened: the open one first, then the newest. */
export function listedPolls(visit: Visit): PublicPoll[] {
  return inOrder(Object.values(visit.room.value.polls.listed));
}

/** What is news about polls: each that opened, and each whose results came on screen. */
export function pollNews(visit: Visit): string[] {
  return listedPolls(visit).flatMap((poll) => [poll.id, ...(poll.shown ? [`${poll.id} shown`] : [])]);
}

function percent(part: number, whole: number): string {
  return new Intl.NumberFormat(locale(), { style: "percent" }).format(whole === 0 ? 0 : part / whole);
}

/** The words of a step on a scale: its number, and what its end means. */
function stepWords(poll: AnyPoll, at: number): string {
  const end = at === 0 ? poll.low : at === poll.options.length - 1 ? poll.high : "";
  return end ? `${poll.options[at]?.text} ${end}` : (poll.options[at]?.text ?? "");
}

interface ResultsProps {
  poll: AnyPoll;
  tally: Tally;
  large?: boolean;
}

/** The counts as bars, of a scale as columns; each says its number in words: colour and length carry nothing alone. */
export function Results({ poll, tally, large }: ResultsProps) {
  const visit = useVisit();
  const t = text().polls;
  const counts = tally.counts ?? {};
  const mine = visit.room.value.mine.ballots[poll.id] ?? [];
  const top = Math.max(1, ...Object.values(counts));
  const lines = poll.options.map((option, at) => {
    const votes = counts[option.id] ?? 0;
    return { option, at, votes, chosen: mine.includes(option.id), leads: votes === top };
  });
  const mean = poll.kind === "rating" ? average(poll.options, counts) : null;
  return (
    <div class={`results ${large ? "large" : ""}`} data-testid="poll-results" data-poll={poll.id}>
      {mean !== null && (
        <p class="results-average num">
          {t.average(
            new Intl.NumberFormat(locale(), { minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(
              mean,
            ),
          )}
        </p>
      )}
      <ul class={poll.kind === "rating" ? "results-columns" : "results-list"}>
        {lines.map(({ option, at, votes, chosen, leads }) => (
          <li
            key={option.id}
            class={`result ${leads ? "top" : ""}`}
            data-testid="poll-result"
            data-votes={votes}
          >
            {poll.kind === "rating" ? (
              <>
                <span class="sr">
                  {stepWords(poll, at)}: {t.votes(count(votes), percent(votes, tally.voters))}
                </span>
                <span class="result-figure num" aria-hidden="true">
                  {count(votes)}
                </span>
                <span class="result-column" aria-hidden="true">
                  <i style={{ height: `${(votes / top) * 100}%` }} />
                </span>
                <span class="result-words num" aria-hidden="true">
                  {option.text}
                </span>
                {chosen && <Mine short />}
              </>
            ) : (
              <>
                <span class="result-words">
                  {option.text}
                  {chosen && <Mine />}
                </span>
                <span class="result-figure num">{t.votes(count(votes), percent(votes, tally.voters))}</span>
                <span class="result-bar" aria-hidden="true">
                  <i style={{ width: `${tally.voters === 0 ? 0 : (votes / tally.voters) * 100}%` }} />
                </span>
              </>
            )}
          </li>
        ))}
      </ul>
      <ScaleEnds poll={poll} />
      <p class="small soft num">{t.voters(count(tally.voters))}</p>
    </div>
  );
}

function Mine({ short }: { short?: boolean }) {
  const { yours } = text().polls;
  return (
    <span class="result-mine" title={yours}>
      <Check size={14} aria-hidden="true" />
      {short ? <span class="sr">{yours}</span> : yours}
    </span>
  );
}

/** What the ends of a scale mean, under its steps. */
function ScaleEnds({ poll }: { poll: AnyPoll }) {
  if (!poll.low && !poll.high) return null;
  return (
    <p class="scale-ends small soft" aria-hidden="true">
      <span>{poll.low}</span>
      <span>{poll.high}</span>
    </p>
  );
}

/** Why this choice cannot be sent, or null. */
function castBlocked(visit: Visit, poll: AnyPoll, choice: readonly string[]): string | null {
  const t = text().polls;
  const number = poll.kind === "multiple" ? t.chooseSome(poll.least ?? 1, poll.most ?? 1) : t.choose;
  return { yes: null, number, same: t.same }[castable(poll, choice, visit.room.value.mine.ballots[poll.id])];
}

/** The ballot paper: one choice, several, or a step on a scale; it may be changed until the poll closes. */
function Ballot({ poll }: { poll: PublicPoll }) {
  const visit = useVisit();
  const t = text();
  const name = useId();
  const mine = visit.room.value.mine.ballots[poll.id];
  const choice = picked.value[poll.id] ?? mine ?? [];
  const { least = 1, most = 1 } = poll;
  const blocked = castBlocked(visit, poll, choice);
  const sending = visit.items.value.some(({ cmd }) => cmd.t === "cast_ballot" && cmd.id === poll.id);
  const choose = (next: readonly string[] | undefined) => {
    const { [poll.id]: _before, ...others } = picked.value;
    picked.value = next ? { ...others, [poll.id]: next } : others;
  };
  const cast = (choices: readonly string[]) =>
    void visit.ask({ t: "cast_ballot", id: poll.id, choices: [...choices] }).then(({ ok }) => {
      if (ok) choose(undefined);
    });
  const scale = poll.kind === "rating";
  const several = poll.kind === "multiple";
  return (
    <form
      class="stack tight"
      onSubmit={(event) => {
        event.preventDefault();
        if (!blocked && !sending) cast(choice);
      }}
    >
      <fieldset class={scale ? "scale" : "choices"}>
        <legend class="poll-text">{poll.text}</legend>
        {several && <p class="small soft">{t.polls.chooseSome(least, most)}</p>}
        <div class={scale ? "scale-steps" : "choices"}>
          {poll.options.map((option, at) => {
            const on = choice.includes(option.id);
            return (
              <label class={scale ? "scale-step" : "choice"} key={option.id}>
                <input
                  type={several ? "checkbox" : "radio"}
                  name={name}
                  checked={on}
                  aria-label={scale ? stepWords(poll, at) : undefined}
                  data-testid="poll-option"
                  onChange={() => {
                    if (!several) choose([option.id]);
                    else choose(on ? choice.filter((id) => id !== option.id) : [...choice, option.id]);
                  }}
                />
                <span class={scale ? "num" : ""} aria-hidden={scale || undefined}>
                  {option.text}
                </span>
              </label>
            );
          })}
        </div>
        {scale && <ScaleEnds poll={poll} />}
      </fieldset>
      {mine && (
        <p class="poll-done small" data-testid="poll-done">
          <Check size={16} aria-hidden="true" />
          {t.polls.done}
        </p>
      )}
      <div class="row wrap">
        <Button
          type="submit"
          variant="primary"
          blocked={blocked}
          pending={sending && visit.connected.value}
          testid="poll-cast"
        >
          {mine ? t.polls.change : t.polls.cast}
        </Button>
        {mine && (
          <Button
            variant="quiet"
            blocked={visit.blocked.value}
            testid="poll-take-back"
            onClick={() => {
              choose(undefined);
              cast([]);
            }}
          >
            {t.polls.takeBack}
          </Button>
        )}
        {sending && !visit.connected.value && <Badge>{t.chat.queued}</Badge>}
      </div>
      <p class="poll-secret small soft">
        <EyeOff size={16} aria-hidden="true" />
        {t.polls.secret}
      </p>
    </form>
  );
}

/** A poll as a participant meets it: the paper while it is open, the results when they may be seen. */
function PollCard({ poll }: { poll: PublicPoll }) {
  const visit = useVisit();
  const t = text().polls;
  const tally = tallyOf(visit, poll.id);
  const open = poll.state === "open";
  const votes = open && !visit.isStaff.value;
  return (
    <li
      class={`poll ${poll.state}`}
      id={`poll-${poll.id}`}
      tabIndex={-1}
      data-testid="poll"
      data-poll={poll.id}
      data-state={poll.state}
    >
      <div class="row wrap tight">
        <span class="small soft num">#{poll.number}</span>
        <Badge tone={open ? "accent" : "plain"}>{t.states[poll.state]}</Badge>
        <span class="grow" />
        {open && tally && <span class="small soft num">{t.voters(count(tally.voters))}</span>}
      </div>
      {votes ? <Ballot poll={poll} /> : <h2 class="poll-text">{poll.text}</h2>}
      {tally?.counts ? (
        <Results poll={poll} tally={tally} />
      ) : (
        <p class="small soft" data-testid="poll-hidden">
          {open ? t.hidden[poll.results ?? "closed"] : t.soon}
        </p>
      )}
    </li>
  );
}

/** All polls that were opened. */
export function PollList() {
  const visit = useVisit();
  const polls = listedPolls(visit);
  return (
    <ul class="stack" data-testid="polls">
      {polls.map((poll) => (
        <PollCard key={poll.id} poll={poll} />
      ))}
    </ul>
  );
}

/** The tab. */
export function Polls() {
  const visit = useVisit();
  const t = text().polls;
  return (
    <section class="polls" tabIndex={0} aria-label={t.title}>
      {listedPolls(visit).length === 0 && <Empty icon={<Vote aria-hidden="true" />}>{t.empty}</Empty>}
      <PollList />
    </section>
  );
}

function usePutAway(poll: PublicPoll | undefined): [boolean, () => void] {
  const key = poll ? `${poll.id} ${poll.version}` : "";
  return [
    putAway.value.has(key),
    () => {
      putAway.value = new Set([...putAway.value, key]);
    },
  ];
}

/** Under the stage: a poll is open, or results came; one press leads there. */
export function PollCall({ onGo }: { onGo: () => void }) {
  const visit = useVisit();
  const t = text();
  const poll = foremost(listedPolls(visit));
  const [away, dismiss] = usePutAway(poll);
  if (!poll || away) return null;
  const open = poll.state === "open";
  const voted = visit.room.value.mine.ballots[poll.id] !== undefined;
  const tally = tallyOf(visit, poll.id);
  return (
    <section class="poll-call" aria-label={open ? t.polls.now : t.polls.results} data-testid="poll-call">
      <div class="grow">
        <p class="small poll-call-label">
          <Vote size={16} aria-hidden="true" />
          {open ? t.polls.now : t.polls.results}
          {tally && <span class="soft num wide-only">{t.polls.voters(count(tally.voters))}</span>}
        </p>
        <p class="poll-call-text">{poll.text}</p>
      </div>
      <div class="row tight">
        {open && voted && (
          <span class="small poll-done">
            <Check size={16} aria-hidden="true" />
            {t.polls.doneShort}
          </span>
        )}
        <Button
          variant={open && !voted ? "primary" : "secondary"}
          size="small"
          testid="poll-go"
          onClick={() => {
            onGo();
            // The tab's panel is on the page after the next paint.
            requestAnimationFrame(() => document.getElementById(`poll-${poll.id}`)?.focus());
          }}
        >
          {!open ? t.polls.look : voted ? t.polls.change : t.polls.go}
        </Button>
        {!open && (
          <Button
            variant="quiet"
            size="small"
            icon={<X aria-hidden="true" />}
            label={t.common.close}
            onClick={dismiss}
          />
        )}
      </div>
    </section>
  );
}

/** For those on stage: what people are being asked, and the results in large letters. */
export function SpeakerPoll() {
  const visit = useVisit();
  const t = text();
  const id = useId();
  const poll = foremost(listedPolls(visit));
  const [away, dismiss] = usePutAway(poll);
  if (!poll || away) return null;
  const tally = tallyOf(visit, poll.id);
  const open = poll.state === "open";
  return (
    <section class="speaker-poll" aria-labelledby={id} data-testid="speaker-poll" data-state={poll.state}>
      <div class="row between">
        <h2 id={id} class="small poll-call-label">
          <Vote size={16} aria-hidden="true" />
          {open ? t.polls.now : t.polls.results}
        </h2>
        {open ? (
          tally && <span class="small soft num">{t.polls.voters(count(tally.voters))}</span>
        ) : (
          <Button
            variant="quiet"
            size="small"
            icon={<X aria-hidden="true" />}
            label={t.common.close}
            testid="speaker-poll-close"
            onClick={dismiss}
          />
        )}
      </div>
      <p class="speaker-poll-text">{poll.text}</p>
      {tally?.counts && <Results poll={poll} tally={tally} large />}
    </section>
  );
}
