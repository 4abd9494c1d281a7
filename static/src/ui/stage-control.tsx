import { TimerOff } from "lucide-preact";
import { useState } from "preact/hooks";
import type { State } from "../core/wire.ts";
import { text } from "../i18n/index.ts";
import { Avatar, Badge, Bars, Empty } from "./kit/bits.tsx";
import { Button } from "./kit/button.tsx";
import { Confirm } from "./kit/dialog.tsx";
import { BackstageBar, PublishBar } from "./speaker.tsx";
import { PersonMenu } from "./staff.tsx";
import { Stage } from "./stage.tsx";
import { useVisit } from "./visit.ts";

const NEXT: Record<State, State[]> = {
  published: ["doors"],
  doors: ["backstage", "after"],
  backstage: ["doors", "after"],
  live: ["backstage", "after"],
  after: ["live", "closed"],
  closed: [],
};

/** The stage in staff's hands: preview, curtain, who is on and behind it, the timer. */
export function StageControl() {
  const visit = useVisit();
  const t = text();
  const room = visit.room.value;
  const [asking, setAsking] = useState<"live" | "after" | "closed" | null>(null);
  const { state } = room.session;
  const experts = Object.entries(room.inside)
    .filter(
      ([id, role]) =>
        role === "speaker" || role === "presenter" || room.hands.filed[id]?.state === "checking",
    )
    .map(([id]) => id)
    .filter((id) => !room.stage.seats.includes(id));
  return (
    <div class="stage-control">
      <Stage compact />
      <BackstageBar />
      <div class="row wrap">
        {NEXT[state].map((next) => (
          <Button
            key={next}
            size="small"
            variant={next === "closed" ? "danger" : "secondary"}
            blocked={visit.blocked.value}
            testid={`state-${next}`}
            onClick={() => {
              if (next === "after" || next === "closed" || next === "live") setAsking(next);
              else void visit.ask({ t: "set_state", state: next });
            }}
          >
            {state === "live" && next === "backstage" ? t.lowerCurtain : t.stateActs[next]}
          </Button>
        ))}
      </div>
      <Persons
        title={t.staff.onStage}
        people={[...room.stage.seats]}
        empty={t.staff.stageEmpty}
        testid="on-stage"
      />
      <Persons title={t.staff.backstage} people={experts} empty={t.staff.backstageEmpty} testid="behind" />
      <Timer />
      <PublishBar />
      {asking && (
        <Confirm
          {...{
            live: t.speaker.goLiveConfirm,
            after: t.organise.confirmEnd,
            closed: t.organise.confirmClose,
          }[asking]}
          danger
          testid="end-dialog"
          onYes={() => void visit.ask({ t: "set_state", state: asking })}
          onClose={() => setAsking(null)}
        />
      )}
    </div>
  );
}

function Persons({
  title,
  people,
  empty,
  testid,
}: {
  title: string;
  people: string[];
  empty: string;
  testid: string;
}) {
  const visit = useVisit();
  const t = text();
  const stage = visit.view.value?.stage;
  return (
    <section class="stack tight" data-testid={testid}>
      <h2 class="small">{title}</h2>
      {people.length === 0 && <Empty>{empty}</Empty>}
      <ul>
        {people.map((person) => {
          const card = visit.card(person);
          const quality = stage?.away?.includes(person) ? 0 : stage?.lines?.[person];
          return (
            <li key={person} class="person">
              <Avatar id={person} name={card.name} />
              <div class="grow">
                <p class="strong clip">{card.name}</p>
                <p class="small soft clip">{card.profession || t.roles[card.role]}</p>
              </div>
              {visit.room.value.stage.muted[person]?.includes("microphone") && (
                <Badge tone="warn">{t.stage.muted}</Badge>
              )}
              {quality !== undefined && <Bars quality={quality} label={t.line.quality[quality] ?? ""} />}
              <PersonMenu person={person} />
            </li>
          );
        })}
      </ul>
    </section>
  );
}

function Timer() {
  const visit = useVisit();
  const t = text().staff;
  const running = visit.room.value.stage.timer !== null;
  return (
    <section class="stack tight">
      <h2 class="small">{t.timer}</h2>
      <div class="row wrap">
        {[5, 10, 15, 30].map((minutes) => (
          <Button
            key={minutes}
            size="small"
            testid={`timer-${minutes}`}
            onClick={() => void visit.ask({ t: "set_timer", seconds: minutes * 60 })}
          >
            <span class="num">{t.timerStart(minutes)}</span>
          </Button>
        ))}
        {running && (
          <Button
            size="small"
            variant="quiet"
            icon={<TimerOff aria-hidden="true" />}
            label={t.timerStop}
            testid="timer-stop"
            onClick={() => void visit.ask({ t: "set_timer" })}
          />
        )}
      </div>
    </section>
  );
}
