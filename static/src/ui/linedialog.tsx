import { useEffect, useState } from "preact/hooks";
import type { PublisherLine } from "../core/api.ts";
import { type LineFacts, type Picture, qualityOf } from "../core/stats.ts";
import { text } from "../i18n/index.ts";
import { NetworkCheck } from "./check.tsx";
import { rate } from "./format.ts";
import { Bars, Empty } from "./kit/bits.tsx";
import { Dialog } from "./kit/dialog.tsx";
import { api } from "./page.ts";
import { useVisit } from "./visit.ts";

/** How often the stage's lines are asked for while the staff look, in milliseconds. */
const ASK_MS = 3_000;

/** One's own connection in numbers, the check, and for the staff everybody on stage. */
export function LineDialog({ onClose }: { onClose: () => void }) {
  const visit = useVisit();
  const t = text().stats;
  return (
    <Dialog title={t.title} onClose={onClose} testid="line-dialog">
      <div class="stack">
        <OwnLine facts={visit.media.facts.value} />
        {visit.isStaff.value && <StageLines />}
        <NetworkCheck />
      </div>
    </Dialog>
  );
}

const percent = (loss: number) => `${(loss * 100).toFixed(1)}%`;
const pictures = (list: Picture[]) =>
  list.map((each) => `${each.width}×${each.height} · ${text().stats.frames(each.frames)}`).join("、");

function OwnLine({ facts }: { facts: LineFacts | null }) {
  const t = text().stats;
  if (!facts) return <Empty>{t.nothing}</Empty>;
  const rows: [string, string | null][] = [
    [t.reach, facts.reach && text().check.ways[facts.reach]],
    [t.rtt, facts.rtt === null ? null : text().line.rtt(facts.rtt)],
    [t.down, facts.down === null ? null : rate(facts.down)],
    [t.loss, facts.loss === null ? null : percent(facts.loss)],
    [t.pictures, pictures(facts.pictures) || null],
    [t.up, facts.layers.length === 0 || facts.up === null ? null : rate(facts.up)],
    [t.lossOut, facts.lossOut === null ? null : percent(facts.lossOut)],
    [t.layers, pictures(facts.layers) || null],
  ];
  const quality = qualityOf(facts);
  return (
    <section class="stack tight" data-testid="own-line" data-reach={facts.reach ?? ""}>
      <h3 class="row tight">
        {t.own} <Bars quality={quality} label={text().line.quality[quality] ?? ""} />
      </h3>
      <dl class="facts num">
        {rows
          .filter(([, value]) => value !== null)
          .map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
    </section>
  );
}

/** What the server measures of those who publish; asked for while it is looked at. */
function StageLines() {
  const visit = useVisit();
  const t = text().stats;
  const [lines, setLines] = useState<PublisherLine[] | null>(null);
  useEffect(() => {
    let over = false;
    const ask = async () => {
      const answer = await api.lines(visit.id).catch(() => null);
      if (!over && answer) setLines(answer);
    };
    void ask();
    const timer = setInterval(() => void ask(), ASK_MS);
    return () => {
      over = true;
      clearInterval(timer);
    };
  }, []);
  if (!lines) return null;
  return (
    <section class="stack tight" data-testid="stage-lines">
      <h3>{t.stage}</h3>
      {lines.length === 0 && <p class="small soft">{t.nobody}</p>}
      <ul class="stack tight">
        {lines.map((line) => (
          <StageLine key={line.person} line={line} />
        ))}
      </ul>
    </section>
  );
}

function StageLine({ line }: { line: PublisherLine }) {
  const visit = useVisit();
  const t = text().stats;
  const told = visit.room.value.people[line.person]?.reach;
  const way = told === "relay" ? "relay" : line.transport;
  const head = [
    way && text().check.ways[way],
    line.round_trip === null ? null : `${t.rtt} ${text().line.rtt(line.round_trip)}`,
  ];
  return (
    <li class="stage-line" data-testid="stage-line" data-person-id={line.person}>
      <div class="row tight">
        <Bars quality={line.quality} label={text().line.quality[line.quality] ?? ""} />
        <span class="strong clip grow">{visit.card(line.person).name}</span>
        <span class="small soft num">{head.filter(Boolean).join(" · ")}</span>
      </div>
      <ul class="small num">
        {line.streams.map((stream) => (
          <li key={`${stream.source}/${stream.layer ?? ""}`} class="row tight">
            <span class="grow">
              {t.sources[stream.source]}
              {stream.layer !== null && ` ${t.layer(stream.layer)}`}
            </span>
            <span>{rate(stream.bitrate / 1000)}</span>
            <span class="soft">
              {t.lost} {percent(stream.loss)}
            </span>
          </li>
        ))}
      </ul>
    </li>
  );
}
