import { text } from "../i18n/index.ts";
import { Mark, Preferences } from "./app.tsx";
import { Chat } from "./chat.tsx";
import { DeletionButton } from "./deletion.tsx";
import { moment } from "./format.ts";
import { Keeps } from "./keeps.tsx";
import { Empty } from "./kit/bits.tsx";
import { LineBadge, LineBar } from "./line.tsx";
import { listedPolls, PollList } from "./polls.tsx";
import { OwnCard } from "./questions.tsx";
import { useVisit } from "./visit.ts";

/** After: thanks, one's own questions, and what is kept. */
export function After() {
  const visit = useVisit();
  const t = text().after;
  const room = visit.room.value;
  const settings = room.session.settings;
  const mine = Object.values(room.mine.questions).sort((a, b) => a.number - b.number);
  const open = room.session.state === "after" && visit.connected.value;
  return (
    <div class="page">
      <header class="page-head">
        <a class="brand" href="/">
          <Mark />
          <span>{text().name}</span>
        </a>
        <div class="row tight">
          <LineBadge />
          <Preferences />
        </div>
      </header>
      <LineBar />
      <main id="main" class="page-main" data-testid="after">
        <section class="hero compact">
          <Mark size={56} />
          <h1>{t.title}</h1>
          <p class="soft">{t.words}</p>
          <p class="small">
            <span class="strong">{settings?.title}</span>
            <br />
            <span class="soft num">{moment(settings?.starts_at ?? null)}</span>
          </p>
        </section>
        <section class="card stack">
          <h2>{t.mine}</h2>
          {mine.length === 0 ? (
            <Empty>{t.mineEmpty}</Empty>
          ) : (
            <ul class="stack tight">
              {mine.map((question) => (
                <OwnCard key={question.id} question={question} over />
              ))}
            </ul>
          )}
        </section>
        {listedPolls(visit).length > 0 && (
          <section class="card stack">
            <h2>{text().polls.title}</h2>
            <PollList />
          </section>
        )}
        {settings && (
          <section class="card stack">
            <h2>{t.kept}</h2>
            <Keeps of={settings} heading={false} />
            <DeletionButton />
          </section>
        )}
        {open && (
          <section class="card after-chat">
            <p class="small soft">{t.chat}</p>
            <Chat channel="main" />
          </section>
        )}
        <p>
          <a href="/">{t.home}</a>
        </p>
      </main>
    </div>
  );
}
