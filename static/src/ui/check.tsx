import { Check, CircleAlert, CircleDashed, Minus, Waypoints, X } from "lucide-preact";
import { useEffect } from "preact/hooks";
import { TRANSPORTS, type Trial, WAYS } from "../core/check.ts";
import { text } from "../i18n/index.ts";
import { problem } from "./format.ts";
import { Notice } from "./kit/bits.tsx";
import { Button } from "./kit/button.tsx";
import { failed, found, underway } from "./reach.ts";
import { useVisit } from "./visit.ts";

/** Tries how media will reach this device, says it in a sentence, and what to do where it will not. */
export function NetworkCheck({ heading = true, auto = false }: { heading?: boolean; auto?: boolean }) {
  const visit = useVisit();
  const t = text().check;
  const running = underway.value;
  const last = found.value?.session === visit.id ? found.value : null;
  const trials = running ?? last?.trials ?? null;
  useEffect(() => {
    if (!auto || visit.knownReach()) return;
    // Not all who wait at once.
    const timer = setTimeout(() => void visit.checkLine(), 1500 + Math.random() * 4000);
    return () => clearTimeout(timer);
  }, [auto]);
  const shown = running ? null : last;
  return (
    <section
      class="stack tight network-check"
      data-testid="network-check"
      data-reach={shown?.reach ?? ""}
      aria-busy={running !== null}
    >
      {heading ? (
        <div>
          <h2>{t.title}</h2>
          <p class="small soft">{t.hint}</p>
        </div>
      ) : (
        <p class="small soft">{t.hint}</p>
      )}
      <div role="status">
        {running && <Notice icon={<CircleDashed aria-hidden="true" />}>{t.running}</Notice>}
        {!running && failed.value && (
          <Notice tone="warn" icon={<CircleAlert aria-hidden="true" />}>
            {failed.value === "offline" ? t.offline : problem(failed.value)}
          </Notice>
        )}
        {shown && !failed.value && (
          <Notice
            tone={shown.reach === "none" ? "warn" : "good"}
            icon={shown.reach === "none" ? <CircleAlert aria-hidden="true" /> : <Check aria-hidden="true" />}
            testid="network-verdict"
          >
            <p class="strong">{t.verdict[shown.reach]}</p>
            <p>{t.advice[shown.reach]}</p>
          </Notice>
        )}
      </div>
      {trials && (
        <ul class="ways">
          {WAYS.map((way) => (
            <Tried key={way} testid={`way-${way}`} label={t.ways[way]} trial={trials[way]} />
          ))}
          {TRANSPORTS.map((by) => {
            const trial = trials.relays?.[by];
            return (
              trial && <Tried key={by} testid={`relay-${by}`} label={t.relays[by]} trial={trial} inner />
            );
          })}
        </ul>
      )}
      <div>
        <Button
          icon={<Waypoints aria-hidden="true" />}
          pending={running !== null}
          testid="check-network"
          onClick={() => void visit.checkLine()}
        >
          {running ? t.running : shown ? t.again : t.start}
        </Button>
      </div>
    </section>
  );
}

function Tried(props: { testid: string; label: string; trial: Trial; inner?: boolean }) {
  const { state, rtt } = props.trial;
  return (
    <li data-testid={props.testid} data-state={state} class={props.inner ? "inner" : undefined}>
      <TrialMark state={state} />
      <span class="grow">{props.label}</span>
      <span class="small num">
        {text().check.states[state]}
        {rtt !== null && ` · ${text().line.rtt(rtt)}`}
      </span>
    </li>
  );
}

function TrialMark({ state }: { state: Trial["state"] }) {
  if (state === "good") return <Check size={18} class="good" aria-hidden="true" />;
  if (state === "bad") return <X size={18} class="warn" aria-hidden="true" />;
  if (state === "absent") return <Minus size={18} aria-hidden="true" />;
  return <CircleDashed size={18} aria-hidden="true" />;
}
