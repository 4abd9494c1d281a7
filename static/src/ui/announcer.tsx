import { useEffect, useRef, useState } from "preact/hooks";
import { newestOf, since } from "../core/room.ts";
import { Level } from "../core/wire.ts";
import { text } from "../i18n/index.ts";
import { listedPolls, pollNews } from "./polls.tsx";
import { useVisit, type Visit } from "./visit.ts";

const BATCH_MS = 3000;

/**
 * One live region: what is new is gathered for some seconds and said once, never a whole list.
 * `news` tells what has come since `mark`, and the mark that says so.
 */
function Batch<M>({
  of,
  version,
  mark,
  news,
}: {
  of: string;
  version: unknown;
  mark: () => M;
  news: (since: M) => string;
}) {
  const known = useRef<M | null>(null);
  const timer = useRef(0);
  const latest = useRef({ mark, news });
  const [words, setWords] = useState("");
  latest.current = { mark, news };
  useEffect(() => {
    if (known.current === null) {
      known.current = mark();
      return;
    }
    if (timer.current || !news(known.current)) return;
    timer.current = window.setTimeout(() => {
      timer.current = 0;
      const said = latest.current.news(known.current as M);
      known.current = latest.current.mark();
      // The same sentence twice is still two pieces of news.
      setWords((before) => (before === said ? `${said}\u00a0` : said));
    }, BATCH_MS);
  }, [version]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return (
    <div class="sr" role="log" aria-live="polite" data-testid={`announce-${of}`}>
      {words}
    </div>
  );
}

function Chat({ visit }: { visit: Visit }) {
  const t = text();
  const { messages } = visit.room.value.chat.main;
  return (
    <Batch
      of="chat"
      version={messages}
      mark={() => newestOf(visit.room.value.chat.main.messages, visit.myId.value)}
      news={(mark: number) => {
        const fresh = since(visit.room.value.chat.main.messages, mark, visit.myId.value);
        const last = fresh.at(-1);
        if (!last) return "";
        return `${t.chat.title}: ${t.common.fresh(fresh.length)}. ${visit.card(last.author).name}: ${last.text}`;
      }}
    />
  );
}

function Questions({ visit }: { visit: Visit }) {
  const t = text();
  const listed = visit.room.value.questions.listed;
  const current = () =>
    Object.values(visit.room.value.questions.listed).find((question) => question.state === "live");
  return (
    <Batch
      of="questions"
      version={listed}
      mark={() => ({ ids: new Set(Object.keys(visit.room.value.questions.listed)), live: current()?.id })}
      news={(mark: { ids: Set<string>; live: string | undefined }) => {
        const { questions, mine } = visit.room.value;
        const fresh = Object.values(questions.listed).filter(
          (question) => !mark.ids.has(question.id) && !mine.questions[question.id],
        );
        const live = current();
        const last = fresh.at(-1);
        return [
          last && `${t.qa.title}: ${t.common.fresh(fresh.length)}. ${last.text}`,
          live && live.id !== mark.live && `${t.stage.now}: ${live.text}`,
        ]
          .filter(Boolean)
          .join(" ");
      }}
    />
  );
}

/** A poll that opened, and results that came on screen. */
function Polls({ visit }: { visit: Visit }) {
  const t = text();
  return (
    <Batch
      of="polls"
      version={visit.room.value.polls.listed}
      mark={() => new Set(pollNews(visit))}
      news={(mark: Set<string>) => {
        const fresh = new Set(pollNews(visit).filter((news) => !mark.has(news)));
        return listedPolls(visit)
          .flatMap((poll) => [
            fresh.has(poll.id) && poll.state === "open" ? `${t.polls.now}: ${poll.text}` : "",
            fresh.has(`${poll.id} shown`) ? `${t.polls.results}: ${poll.text}` : "",
          ])
          .filter(Boolean)
          .join(". ");
      }}
    />
  );
}

/** What waits for the staff: questions to look at, hands, people at the door, held messages. */
function Duties({ visit }: { visit: Visit }) {
  const t = text();
  const duties = () => {
    const room = visit.room.value;
    const pending = Object.values(room.questions.filed).filter((each) => each.state === "pending");
    const raised = Object.values(room.hands.filed).filter((each) => each.state === "raised");
    const waiting = Object.values(room.people).filter((each) => each.standing === "waiting");
    return {
      board: pending.map((each) => each.id),
      hands: raised.map((each) => each.person),
      door: waiting.map((each) => each.id),
      safety: room.chat.held.map((each) => each.id),
    };
  };
  const now = duties();
  type Known = typeof now;
  return (
    <Batch
      of="duties"
      version={JSON.stringify(now)}
      mark={duties}
      news={(mark: Known) =>
        Object.entries(duties())
          .map(([key, ids]) => {
            const fresh = ids.filter((id) => !mark[key as keyof Known].includes(id)).length;
            return fresh ? `${t.room.tabs[key as keyof Known]}: ${t.common.fresh(fresh)}` : "";
          })
          .filter(Boolean)
          .join(". ")
      }
    />
  );
}

/** What changes on the stage is said at once. */
function StageChanges({ visit }: { visit: Visit }) {
  const t = text();
  const { session, stage } = visit.room.value;
  const seats = stage.seats.join();
  const before = useRef(stage.seats);
  const [moved, setMoved] = useState("");
  useEffect(() => {
    const came = stage.seats.filter((person) => !before.current.includes(person));
    const went = before.current.filter((person) => !stage.seats.includes(person));
    before.current = stage.seats;
    const words = [
      ...came.map((person) => t.stage.cameOn(visit.card(person).name)),
      ...went.map((person) => t.stage.wentOff(visit.card(person).name)),
    ];
    if (words.length > 0) setMoved(words.join(" "));
  }, [seats]);
  return (
    <div class="sr" role="status" aria-live="assertive" data-testid="announce-stage">
      {visit.level.value >= Level.ADMITTED ? t.states[session.state] : ""}{" "}
      {stage.veiled ? t.stage.veiled : ""} {moved}
    </div>
  );
}

/** Says new things to screen readers, each kind in its own region. */
export function Announcer() {
  const visit = useVisit();
  return (
    <>
      <Chat visit={visit} />
      <Questions visit={visit} />
      <Polls visit={visit} />
      {visit.isStaff.value && <Duties visit={visit} />}
      <StageChanges visit={visit} />
    </>
  );
}
