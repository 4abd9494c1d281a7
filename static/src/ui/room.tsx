import {
  Activity,
  CircleHelp,
  Gauge,
  Keyboard,
  Languages,
  LogOut,
  Menu as MenuIcon,
  MonitorCog,
  ShieldCheck,
  Trash2,
  Users,
} from "lucide-preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { newestOf } from "../core/room.ts";
import type { Channel } from "../core/wire.ts";
import { lang, setLang, text } from "../i18n/index.ts";
import { Actions, GuestOnStage, InvitationDialog } from "./actions.tsx";
import { Announcer } from "./announcer.tsx";
import { Mark } from "./app.tsx";
import { Board } from "./board.tsx";
import { Chat } from "./chat.tsx";
import { DataDialog } from "./data.tsx";
import { DeletionDialog } from "./deletion.tsx";
import { closeDevices } from "./devices.ts";
import { count, duration } from "./format.ts";
import { Keeps } from "./keeps.tsx";
import { KeysDialog, keysShown, useShortcuts } from "./keys.tsx";
import { Badge } from "./kit/bits.tsx";
import { Confirm, Dialog } from "./kit/dialog.tsx";
import { Menu } from "./kit/menu.tsx";
import { type Tab, Tabs } from "./kit/tabs.tsx";
import { say } from "./kit/toast.tsx";
import { LineBadge, LineBar } from "./line.tsx";
import { LineDialog } from "./linedialog.tsx";
import { narrow, setTheme, theme } from "./page.ts";
import { People } from "./people.tsx";
import { PollDesk } from "./poll-desk.tsx";
import { PollCall, Polls, pollNews, SpeakerPoll } from "./polls.tsx";
import { AskDialog, askBlocked, Questions, votesOf } from "./questions.tsx";
import { BackstageBar, PublishBar, SpeakerQuestions } from "./speaker.tsx";
import { DoorList, HandsList, Safety, useHandNews, useKnocks, useWaiting } from "./staff.tsx";
import { Sounds, Stage } from "./stage.tsx";
import { StageControl } from "./stage-control.tsx";
import { useVisit } from "./visit.ts";

type PanelKey =
  | "chat"
  | "questions"
  | "polls"
  | "people"
  | "backstage"
  | "staff"
  | "board"
  | "door"
  | "hands"
  | "safety"
  | "stage";

/** The room, as the role sees it. */
export function Room() {
  const visit = useVisit();
  const level = visit.level.value;
  const [asking, setAsking] = useState(false);
  useEffect(() => visit.media.watch(level), [level]);
  useEffect(() => {
    if (visit.isExpert.value) void visit.media.publish();
  }, [visit.isExpert.value]);
  useEffect(
    () => () => {
      visit.media.unwatch();
      visit.media.unpublish();
      closeDevices();
    },
    [],
  );
  useKnocks();
  useHandNews();
  useShortcuts({
    "?": () => {
      keysShown.value = true;
    },
    q: () => {
      const why = askBlocked(visit);
      if (visit.role.value !== "attendee") return;
      if (why) say(why);
      else setAsking(true);
    },
    h: () => {
      if (visit.role.value !== "attendee") return;
      const up = visit.room.value.mine.hand?.state === "raised";
      void visit.ask(up ? { t: "lower_hand" } : { t: "raise_hand" });
    },
  });
  const ask = () => setAsking(true);
  return (
    <div class={`room role-${visit.role.value}`} data-testid="room" data-role={visit.role.value}>
      <RoomHead />
      <LineBar />
      {visit.isStaff.value ? (
        <StaffRoom onAsk={ask} />
      ) : visit.isExpert.value ? (
        <ExpertRoom onAsk={ask} />
      ) : (
        <AudienceRoom onAsk={ask} />
      )}
      <Sounds />
      <Announcer />
      <InvitationDialog />
      {asking && <AskDialog onClose={() => setAsking(false)} />}
      {keysShown.value && <KeysDialog staff={visit.isStaff.value} stage={visit.isExpert.value} />}
    </div>
  );
}

function RoomHead() {
  const visit = useVisit();
  const t = text();
  const room = visit.room.value;
  const [dialog, setDialog] = useState<"leave" | "rules" | "data" | "line" | "delete" | null>(null);
  const { state, since, settings } = room.session;
  const live = state === "live";
  const online = visit.view.value?.signals.online;
  return (
    <header class="room-head">
      <Mark size={24} />
      <h1 class="room-title clip">{settings?.title}</h1>
      {live ? (
        <span class="room-state" data-testid="state-live">
          <Badge tone="live">
            <span class="pulse" aria-hidden="true" />
            {t.room.live} <span class="num wide-only">{duration(visit.now.value - since)}</span>
          </Badge>
        </span>
      ) : (
        <span class="room-state" data-testid={`state-now-${state}`}>
          <Badge>{t.states[state]}</Badge>
        </span>
      )}
      <span class="grow" />
      {typeof online === "number" && (
        <span class="row tight small num" title={t.room.online(count(online))} data-testid="online">
          <Users size={16} aria-hidden="true" />
          <span class="sr">{t.room.online(count(online))}</span>
          <span aria-hidden="true">{count(online)}</span>
        </span>
      )}
      <LineBadge />
      <Menu
        label={t.common.menu}
        icon={<MenuIcon aria-hidden="true" />}
        testid="room-menu"
        items={[
          {
            label: t.room.rules,
            icon: <ShieldCheck aria-hidden="true" />,
            onChoose: () => setDialog("rules"),
          },
          {
            label: t.data.title,
            icon: <Gauge aria-hidden="true" />,
            testid: "menu-data",
            onChoose: () => setDialog("data"),
          },
          {
            label: t.room.shortcuts,
            icon: <Keyboard aria-hidden="true" />,
            onChoose: () => {
              keysShown.value = true;
            },
          },
          {
            label: t.stats.title,
            icon: <Activity aria-hidden="true" />,
            testid: "menu-line",
            onChoose: () => setDialog("line"),
          },
          {
            label: t.common.language,
            icon: <Languages aria-hidden="true" />,
            testid: "menu-language",
            onChoose: () => setLang(lang.value === "ja" ? "en" : "ja"),
          },
          {
            label: t.common.pair(
              t.common.themeLabel,
              t.common.theme[theme.value === "dark" ? "light" : "dark"],
            ),
            icon: <MonitorCog aria-hidden="true" />,
            testid: "menu-theme",
            onChoose: () => setTheme(theme.value === "dark" ? "light" : "dark"),
          },
          {
            label: t.deletion.button,
            icon: <Trash2 aria-hidden="true" />,
            testid: "menu-delete",
            onChoose: () => setDialog("delete"),
          },
          {
            label: t.room.leave,
            icon: <LogOut aria-hidden="true" />,
            danger: true,
            testid: "menu-leave",
            onChoose: () => setDialog("leave"),
          },
        ]}
      />
      {dialog === "leave" && (
        <Confirm
          title={t.room.leaveTitle}
          words={t.room.leaveWords}
          yes={t.common.leave}
          danger
          testid="leave-dialog"
          onYes={() => void visit.leave()}
          onClose={() => setDialog(null)}
        />
      )}
      {dialog === "delete" && <DeletionDialog onClose={() => setDialog(null)} />}
      {dialog === "line" && <LineDialog onClose={() => setDialog(null)} />}
      {dialog === "data" && <DataDialog onClose={() => setDialog(null)} />}
      {dialog === "rules" && settings && (
        <Dialog title={t.keeps.title} onClose={() => setDialog(null)}>
          <Keeps of={settings} heading={false} />
        </Dialog>
      )}
    </header>
  );
}

/** What is being answered, under the stage. */
function NowAnswering() {
  const visit = useVisit();
  const t = text();
  const current = Object.values(visit.room.value.questions.listed).find(
    (question) => question.state === "live",
  );
  if (!current) return null;
  const votes = votesOf(visit, current.id);
  return (
    <section class="now" aria-label={t.stage.now} data-testid="now-answering">
      <span class="small now-label">
        <CircleHelp size={16} aria-hidden="true" />
        {t.stage.now}
      </span>
      <p class="now-text">{current.text}</p>
      {votes !== null && votes > 0 && <span class="small soft num">{t.qa.votes(count(votes))}</span>}
    </section>
  );
}

/** Tells which tabs hold something that came in while they were not looked at. */
function useUnread(active: PanelKey): (key: PanelKey) => boolean {
  const visit = useVisit();
  const { chat, questions, mine } = visit.room.value;
  const newest = (channel: Channel) => newestOf(chat[channel].messages, visit.myId.value);
  const marks: Partial<Record<PanelKey, number>> = {
    chat: newest("main"),
    backstage: newest("backstage"),
    staff: newest("staff"),
  };
  const listed = Object.keys(questions.listed).filter((id) => !mine.questions[id]);
  const polls = pollNews(visit);
  const seen = useRef({ marks, listed: new Set(listed), polls: new Set(polls) });
  useEffect(() => {
    if (active in marks) seen.current.marks = { ...seen.current.marks, [active]: marks[active] };
    if (active === "questions") seen.current.listed = new Set(listed);
    if (active === "polls") seen.current.polls = new Set(polls);
  });
  return (key) => {
    if (key === active) return false;
    if (key === "questions") return listed.some((id) => !seen.current.listed.has(id));
    if (key === "polls") return polls.some((news) => !seen.current.polls.has(news));
    return (marks[key] ?? 0) > (seen.current.marks[key] ?? 0);
  };
}

function PanelBody({ of, onAsk }: { of: PanelKey; onAsk: () => void }) {
  const staff = useVisit().isStaff.value;
  switch (of) {
    case "chat":
      return <Chat channel="main" />;
    case "backstage":
      return <Chat channel="backstage" />;
    case "staff":
      return <Chat channel="staff" />;
    case "questions":
      return <Questions onAsk={onAsk} />;
    case "polls":
      return staff ? <PollDesk /> : <Polls />;
    case "people":
      return <People />;
    case "door":
      return <DoorList />;
    case "hands":
      return <HandsList />;
    case "safety":
      return <Safety />;
    case "board":
      return <Board />;
    default:
      return <StageControl />;
  }
}

function usePanel(first: PanelKey) {
  const [active, setActive] = useState<PanelKey>(first);
  useShortcuts({
    c: () => setActive("chat"),
    s: () => setActive(first === "board" ? "board" : "questions"),
    t: () => setActive("polls"),
    p: () => setActive("people"),
  });
  return { active, setActive, unread: useUnread(active) };
}

function AudienceRoom({ onAsk }: { onAsk: () => void }) {
  const t = text().room;
  const { active, setActive, unread } = usePanel("chat");
  const tabs: Tab<PanelKey>[] = (["chat", "questions", "polls", "people"] as const).map((key) => ({
    key,
    label: t.tabs[key],
    unread: unread(key),
  }));
  return (
    <main class="room-body audience" id="main">
      <div class="room-stage">
        <Stage />
        <NowAnswering />
        {active !== "polls" && <PollCall onGo={() => setActive("polls")} />}
        <GuestOnStage />
        <Actions onAsk={onAsk} />
      </div>
      <Tabs class="room-panel" label={t.panel} tabs={tabs} value={active} onChange={setActive}>
        <PanelBody of={active} onAsk={onAsk} />
      </Tabs>
    </main>
  );
}

function ExpertRoom({ onAsk }: { onAsk: () => void }) {
  const t = text().room;
  const { active, setActive, unread } = usePanel("backstage");
  const tabs: Tab<PanelKey>[] = (["backstage", "chat", "questions", "polls", "people"] as const).map(
    (key) => ({
      key,
      label: t.tabs[key],
      unread: unread(key),
    }),
  );
  return (
    <main class="room-body expert" id="main">
      <div class="room-stage">
        <BackstageBar />
        <Stage />
        <SpeakerPoll />
        <SpeakerQuestions />
        <PublishBar />
      </div>
      <Tabs class="room-panel" label={t.panel} tabs={tabs} value={active} onChange={setActive}>
        <PanelBody of={active} onAsk={onAsk} />
      </Tabs>
    </main>
  );
}

function StaffRoom({ onAsk }: { onAsk: () => void }) {
  const visit = useVisit();
  const t = text().room;
  const { active, setActive, unread } = usePanel("board");
  const waiting = useWaiting().length;
  const room = visit.room.value;
  const pending = Object.values(room.questions.filed).filter(
    (question) => question.state === "pending",
  ).length;
  const hands = Object.values(room.hands.filed).filter((hand) => hand.state === "raised").length;
  const counts: Partial<Record<PanelKey, number>> = {
    board: pending,
    door: waiting,
    hands,
    safety: room.chat.held.length,
  };
  const keys: PanelKey[] = [
    ...(narrow.value ? (["stage"] as const) : []),
    "board",
    "door",
    "hands",
    "polls",
    "chat",
    "backstage",
    "staff",
    "people",
    "safety",
  ];
  const tabs: Tab<PanelKey>[] = keys.map((key) => ({
    key,
    label: t.tabs[key],
    unread: unread(key) || (key === "door" && waiting > 0 && active !== "door"),
    ...(counts[key] === undefined ? {} : { count: counts[key] }),
  }));
  return (
    <main class={`room-body staff on-${active}`} id="main">
      {!narrow.value && (
        <aside class="staff-side" aria-label={t.tabs.stage}>
          <StageControl />
        </aside>
      )}
      <Tabs class="room-panel" label={t.panel} tabs={tabs} value={active} onChange={setActive}>
        <PanelBody of={active} onAsk={onAsk} />
      </Tabs>
    </main>
  );
}
