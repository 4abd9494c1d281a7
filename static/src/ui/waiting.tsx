import { DoorOpen } from "lucide-preact";
import { text } from "../i18n/index.ts";
import { Mark, Preferences } from "./app.tsx";
import { NetworkCheck } from "./check.tsx";
import { DataChoice } from "./data.tsx";
import { useDraft } from "./drafts.ts";
import { duration, moment } from "./format.ts";
import { Keeps } from "./keeps.tsx";
import { Empty, Notice } from "./kit/bits.tsx";
import { Button } from "./kit/button.tsx";
import { AnchoredList } from "./kit/list.tsx";
import { LineBadge, LineBar } from "./line.tsx";
import { SendBox } from "./sendbox.tsx";
import { useVisit } from "./visit.ts";

/** The waiting room: where one stands, the schedule, the rules, and a word with the door. */
export function Waiting() {
  const visit = useVisit();
  const t = text().waiting;
  const room = visit.room.value;
  const settings = room.session.settings;
  const standing = room.mine.standing;
  const starts = settings?.starts_at ?? null;
  const untilStart = starts === null ? null : starts - visit.now.value;
  const before = visit.view.value?.signals.waiting;
  const out = standing?.standing === "sent_back" || standing?.standing === "removed";
  const left = standing?.standing === "left";
  return (
    <div class="page">
      <header class="page-head">
        <span class="brand">
          <Mark />
          <span class="clip">{settings?.title ?? text().name}</span>
        </span>
        <div class="row tight">
          <LineBadge />
          <Preferences />
        </div>
      </header>
      <LineBar />
      <main id="main" class="page-main wide" data-testid="waiting">
        <div class="waiting">
          <section class="card stack waiting-state" aria-live="polite">
            <DoorOpen size={40} aria-hidden="true" />
            <h1>{out ? t.sentBack : left ? t.left : t.title}</h1>
            {out && standing?.text && <p class="quote">{standing.text}</p>}
            {out || left ? (
              <Button
                variant="primary"
                testid="knock"
                blocked={visit.blocked.value}
                onClick={() => void visit.ask({ t: "knock" })}
              >
                {left ? t.rejoin : t.knock}
              </Button>
            ) : (
              <>
                {typeof before === "number" && (
                  <p class="strong num" data-testid="before-you">
                    {t.company(Math.max(0, before - 1))}
                  </p>
                )}
                <p class="soft">{room.session.state === "published" ? t.notYet : t.word}</p>
              </>
            )}
            <dl class="schedule">
              <dt>{t.schedule}</dt>
              <dd class="num">
                {moment(starts)}
                {untilStart !== null && untilStart > 0 && untilStart < 86_400_000 && (
                  <span class="soft"> · {t.startsIn(duration(untilStart))}</span>
                )}
              </dd>
            </dl>
          </section>
          <DoorTalk />
          <section class="card stack">
            <DataChoice />
            <p class="small soft">{text().data.hint}</p>
          </section>
          <div class="card">
            <NetworkCheck auto={standing?.standing === "waiting"} />
          </div>
          <section class="card stack">
            <h2>{t.rules}</h2>
            <ol class="rules">
              {t.ruleList.map((rule) => (
                <li key={rule}>{rule}</li>
              ))}
            </ol>
          </section>
          {settings && (
            <div class="card">
              <Keeps of={settings} />
            </div>
          )}
        </div>
      </main>
    </div>
  );
}

function DoorTalk() {
  const visit = useVisit();
  const t = text().waiting;
  const lines = visit.room.value.mine.door;
  const pending = visit.items.value.filter((item) => item.cmd.t === "say_at_door");
  const [words, setWords] = useDraft("door");
  const standing = visit.room.value.mine.standing?.standing;
  return (
    <section class="card door-talk" aria-labelledby="door-talk">
      <div>
        <h2 id="door-talk">{t.chat}</h2>
        <p class="small soft">{t.chatHint}</p>
      </div>
      <AnchoredList count={lines.length + pending.length} label={t.chat}>
        {lines.length + pending.length === 0 && <Empty>{t.chatEmpty}</Empty>}
        <ul class="bubbles">
          {lines.map((line) => (
            <li key={line.id} class={line.author === visit.myId.value ? "bubble mine" : "bubble"}>
              {line.author !== visit.myId.value && <span class="small strong">{t.staff}</span>}
              <span class="prewrap">{line.text}</span>
            </li>
          ))}
          {pending.map((item) => (
            <li key={item.nonce} class="bubble mine pending">
              <span class="prewrap">{item.cmd.t === "say_at_door" ? item.cmd.text : ""}</span>
              {item.state === "failed" && (
                <span class="row">
                  <Notice tone="warn">{text().chat.failed}</Notice>
                  <Button size="small" onClick={() => visit.resend(item.nonce)}>
                    {text().chat.resend}
                  </Button>
                  <Button size="small" onClick={() => visit.discard(item.nonce)}>
                    {text().chat.discard}
                  </Button>
                </span>
              )}
            </li>
          ))}
        </ul>
      </AnchoredList>
      <SendBox
        label={t.chat}
        value={words}
        onInput={setWords}
        placeholder={t.chat}
        blocked={standing === "waiting" ? null : t.knockFirst}
        testid="door-composer"
        sendTestid="door-send"
        onSend={() => {
          void visit.ask({ t: "say_at_door", text: words.trim() });
          setWords("");
        }}
      />
    </section>
  );
}
