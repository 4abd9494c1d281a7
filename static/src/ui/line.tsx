import { CloudOff } from "lucide-preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { newestOf, since } from "../core/room.ts";
import { qualityOf } from "../core/stats.ts";
import { text } from "../i18n/index.ts";
import { Bars } from "./kit/bits.tsx";
import { Button } from "./kit/button.tsx";
import { tick } from "./page.ts";
import { useVisit } from "./visit.ts";

/** One's own line as bars and, in words, its round trip. */
export function LineBadge() {
  const visit = useVisit();
  const t = text().line;
  const view = visit.view.value;
  const line = view?.line;
  if (!view || line?.kind !== "connected") return <Bars quality={0} label={t.quality[0] ?? ""} />;
  const rtt = line.rtt ?? 0;
  const byRtt = rtt < 150 ? 3 : rtt < 400 ? 2 : 1;
  const facts = visit.media.facts.value;
  const received = facts ? qualityOf(facts) : 3;
  const quality = Math.min(byRtt, received, view.stage.lines?.[visit.myId.value] ?? 3);
  const words = [t.quality[quality], line.rtt === null ? "" : t.rtt(line.rtt)].filter(Boolean).join(" · ");
  return (
    <span class="line-badge" data-testid="line" data-state="connected">
      <Bars quality={quality} label={words} />
    </span>
  );
}

/** The second honest state, across the page: reconnecting, in how many seconds, and what is kept. */
export function LineBar() {
  const visit = useVisit();
  const t = text().line;
  const line = visit.view.value?.line;
  const [back, setBack] = useState<string | null>(null);
  const was = useRef({ kind: "", mark: 0 });
  useEffect(() => {
    if (!line) return;
    const before = was.current;
    if (line.kind === "reconnecting" && before.kind !== "reconnecting") {
      was.current = {
        kind: "reconnecting",
        mark: newestOf(visit.room.value.chat.main.messages, visit.myId.value),
      };
    } else if (line.kind === "connected" && before.kind === "reconnecting") {
      // A replay follows the welcome: count what it brought after it has been folded.
      const timer = setTimeout(() => {
        const { messages } = visit.room.value.chat.main;
        setBack(t.reconnected(since(messages, before.mark, visit.myId.value).length));
      }, 300);
      was.current = { kind: "connected", mark: before.mark };
      const hide = setTimeout(() => setBack(null), 6000);
      return () => {
        clearTimeout(timer);
        clearTimeout(hide);
      };
    }
    return undefined;
  }, [line?.kind]);
  const seconds =
    line?.kind === "reconnecting" ? Math.max(0, Math.ceil((line.retryAt - tick.value) / 1000)) : 0;
  const losses = visit.view.value?.losses ?? 0;
  const [lost, setLost] = useState(0);
  return (
    <aside class="linebar" aria-label={t.label}>
      <span class="sr" role="status" aria-live="assertive" data-testid="announce-line">
        {line?.kind === "reconnecting" ? t.reconnecting(0) : back}
      </span>
      {line?.kind === "reconnecting" && (
        <div class="linebar-words" data-testid="reconnecting">
          <CloudOff size={18} aria-hidden="true" />
          <span class="num strong">{t.reconnecting(seconds)}</span>
          <span class="grow small">{t.kept}</span>
          <Button size="small" onClick={() => visit.wake()}>
            {t.now}
          </Button>
        </div>
      )}
      {losses > lost && (
        <div class="linebar-words" role="alert" data-testid="lost">
          <span class="grow">{t.lost}</span>
          <Button size="small" onClick={() => setLost(losses)}>
            {text().common.close}
          </Button>
        </div>
      )}
      {line?.kind === "connected" && back && (
        <div class="linebar-words good" data-testid="reconnected" aria-hidden="true">
          {back}
        </div>
      )}
    </aside>
  );
}
