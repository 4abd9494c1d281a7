import {
  Forward,
  LogOut,
  MessageSquareText,
  Mic,
  MicOff,
  Play,
  ScreenShare,
  ScreenShareOff,
  Settings2,
  Video,
  VideoOff,
} from "lucide-preact";
import { useEffect, useState } from "preact/hooks";
import type { MediaState } from "../core/media.ts";
import type { PublicQuestion } from "../core/wire.ts";
import { text } from "../i18n/index.ts";
import { cameraLive, level, local, micOn, setCamera, setMic } from "./devices.ts";
import { DevicePicker, DeviceTroubleNotice } from "./door.tsx";
import { count, duration, withSan } from "./format.ts";
import { useShortcuts } from "./keys.tsx";
import { Badge, Empty, Meter, Notice } from "./kit/bits.tsx";
import { Button } from "./kit/button.tsx";
import { Confirm, Dialog } from "./kit/dialog.tsx";
import { Menu } from "./kit/menu.tsx";
import { speakers, votesOf } from "./questions.tsx";
import { useVisit, type Visit } from "./visit.ts";
import { Waves } from "./waves.tsx";

/** Camera, microphone and screen of somebody who may be seen; the same bar for experts and staff. */
export function PublishBar() {
  const visit = useVisit();
  const t = text();
  const { media } = visit;
  const [devices, setDevices] = useState(false);
  const sending = media.sending.value;
  const seated = visit.room.value.stage.seats.includes(visit.myId.value);
  const guest = visit.role.value === "attendee";
  const muted = visit.room.value.stage.muted[visit.myId.value] ?? [];
  const sharing = media.screen.value !== null;
  const holder = visit.screenOf.value;
  const taken = holder !== "" && holder !== visit.myId.value;
  const canShare = typeof navigator.mediaDevices?.getDisplayMedia === "function";
  useShortcuts({
    m: () => setMic(!micOn.value),
    v: () => void setCamera(!cameraLive.value),
  });
  if (sending === "idle" || sending === "refused") {
    return (
      <div class="publish">
        <DeviceTroubleNotice />
        {sending === "refused" && <Notice tone="warn">{t.speaker.publishRefused}</Notice>}
        <Button
          variant="primary"
          icon={<Video aria-hidden="true" />}
          testid="publish"
          onClick={() => void media.publish()}
        >
          {t.speaker.publish}
        </Button>
      </div>
    );
  }
  const heard = sending === "connected" && micOn.value && !muted.includes("microphone");
  return (
    <div class="publish" data-testid="publish-bar" data-state={sending}>
      <DeviceTroubleNotice />
      <PublishState />
      {muted.length > 0 && (
        <Notice tone="warn" role="status" testid="server-muted">
          {muted.map((source) => (
            <p key={source}>{t.speaker.serverMuted[source]}</p>
          ))}
        </Notice>
      )}
      <div class="publish-row">
        <div class="publish-level">
          <Meter level={heard ? level.value : 0} label={t.speaker.level} testid="own-level" />
        </div>
        <Button
          class="own"
          pressed={micOn.value}
          icon={micOn.value ? <Mic aria-hidden="true" /> : <MicOff aria-hidden="true" />}
          label={micOn.value ? t.speaker.mic.on : t.speaker.mic.off}
          blocked={local.value?.getAudioTracks().length ? null : t.door.noDevice}
          testid="mic"
          keys="m"
          onClick={() => setMic(!micOn.value)}
        >
          <span class="own-word">{t.speaker.short.mic}</span>
        </Button>
        <Button
          class="own"
          pressed={cameraLive.value}
          icon={cameraLive.value ? <Video aria-hidden="true" /> : <VideoOff aria-hidden="true" />}
          label={cameraLive.value ? t.speaker.camera.on : t.speaker.camera.off}
          testid="camera"
          keys="v"
          onClick={() => void setCamera(!cameraLive.value)}
        >
          <span class="own-word">{t.speaker.short.camera}</span>
        </Button>
        {canShare && (
          <Button
            pressed={sharing}
            icon={sharing ? <ScreenShareOff aria-hidden="true" /> : <ScreenShare aria-hidden="true" />}
            label={sharing ? t.speaker.screen.on : t.speaker.screen.off}
            blocked={
              sharing
                ? null
                : muted.includes("screen")
                  ? t.speaker.serverMuted.screen
                  : taken
                    ? t.speaker.screenTaken(visit.card(holder).name)
                    : null
            }
            testid="screen"
            onClick={() => (sharing ? media.unshare() : void media.share())}
          >
            <span class="own-word">{t.speaker.short.screen}</span>
          </Button>
        )}
        <Button
          variant="quiet"
          icon={<Settings2 aria-hidden="true" />}
          label={t.speaker.devices}
          testid="devices"
          onClick={() => setDevices(true)}
        >
          <span class="own-word">{t.speaker.short.devices}</span>
        </Button>
        {(seated || guest) && (
          <Button
            variant="danger"
            label={t.speaker.leave}
            icon={<LogOut aria-hidden="true" />}
            blocked={visit.blocked.value}
            testid="step-down"
            onClick={() => void visit.ask({ t: "step_down" })}
          >
            <span class="own-word">{t.speaker.leave}</span>
          </Button>
        )}
      </div>
      {devices && (
        <Dialog title={t.speaker.devices} onClose={() => setDevices(false)}>
          <DevicePicker />
          <Meter level={level.value} label={t.door.level} />
        </Dialog>
      )}
    </div>
  );
}

/** How one's own lines are doing, while they do not carry what is sent; and why a share ended by itself. */
function PublishState() {
  const { media } = useVisit();
  const t = text().speaker;
  const troubled = (state: MediaState) => (state === "connecting" || state === "recovering" ? state : null);
  const own = troubled(media.sending.value);
  const screen = troubled(media.sharing.value);
  const ended = media.unshared.value;
  const words = [own && t.sending[own], screen && t.sharing[screen], ended && t.unshared[ended]].filter(
    Boolean,
  );
  return (
    <div class="publish-state" role="status" data-testid="publish-state">
      {words.length > 0 && (
        <Notice tone="warn">
          {words.map((each) => (
            <p key={each}>{each}</p>
          ))}
        </Notice>
      )}
    </div>
  );
}

/** Before the curtain: that nobody outside hears, how long until we start, who waits; and, for staff, the curtain's rope. */
export function BackstageBar() {
  const visit = useVisit();
  const t = text().speaker;
  const room = visit.room.value;
  const [asking, setAsking] = useState(false);
  const live = room.session.state === "live";
  const starts = room.session.settings?.starts_at ?? null;
  const left = starts === null ? null : starts - visit.now.value;
  const timer = room.stage.timer?.until ?? null;
  const audience =
    Object.values(room.inside).filter((role) => role === "attendee").length +
    (visit.view.value?.signals.waiting ?? 0);
  if (room.session.state === "after" || room.session.state === "closed") return null;
  return (
    <section class={`backstage ${live ? "is-live" : ""}`} data-testid="backstage" data-live={live}>
      <div class="grow">
        {live ? (
          <p class="strong">
            {room.stage.seats.includes(visit.myId.value) || visit.isStaff.value ? t.live : t.off}
          </p>
        ) : (
          <>
            <p class="strong">{t.backstage}</p>
            <p class="small">{t.backstageHint}</p>
          </>
        )}
      </div>
      {live && <Waves />}
      {timer !== null && (
        <p class="countdown num" data-testid="timer">
          <span class="small">{room.stage.timer?.label || text().stage.timeLeft}</span>{" "}
          {timer > visit.now.value ? duration(timer - visit.now.value) : text().stage.timeOver}
        </p>
      )}
      {!live && left !== null && (
        <p class="countdown num">
          {left > 0 ? (
            <>
              <span class="small">{t.untilLive}</span> {duration(left)}
            </>
          ) : (
            <span class="small">{t.overdue}</span>
          )}
        </p>
      )}
      {!live && (
        <p class="small num">
          {t.audience} {count(audience)}
        </p>
      )}
      {!live &&
        (visit.isStaff.value ? (
          <Button
            variant="live"
            icon={<Play aria-hidden="true" />}
            blocked={visit.blocked.value}
            testid="go-live"
            onClick={() => setAsking(true)}
          >
            {t.goLive}
          </Button>
        ) : (
          <p class="small soft">{t.onlyModerator}</p>
        ))}
      {asking && (
        <Confirm
          {...t.goLiveConfirm}
          danger
          testid="go-live-dialog"
          onYes={() => void visit.ask({ t: "set_state", state: "live" })}
          onClose={() => setAsking(false)}
        />
      )}
    </section>
  );
}

/** Takes, answers and passes a question with the version that was seen. */
export function questionActs(visit: Visit, question: PublicQuestion) {
  const { id, version } = question;
  return {
    take: () => void visit.ask({ t: "take", id, version }),
    answered: () => void visit.ask({ t: "answer", id, version, how: "live" }),
    inText: () => void visit.ask({ t: "answer", id, version, how: "text" }),
    pass: (to: string) => void visit.ask({ t: "address", id, version, to }),
  };
}

/** The current question in large letters, and the next ones: to me, or to all. */
export function SpeakerQuestions() {
  const visit = useVisit();
  const t = text();
  const listed = Object.values(visit.room.value.questions.listed);
  const current = listed.find((question) => question.state === "live");
  const next = listed
    .filter((question) => question.state === "next")
    .sort((a, b) => (a.place ?? 0) - (b.place ?? 0))
    .slice(0, 5);
  useEffect(() => undefined, [current?.id]);
  return (
    <div class="speaker-questions">
      <section
        class="now-question"
        aria-labelledby="current"
        aria-live="polite"
        data-testid="current-question"
      >
        <div class="row between">
          <h2 id="current" class="small">
            {t.speaker.current}
          </h2>
        </div>
        {current ? <Current question={current} /> : <p class="soft">{t.speaker.noCurrent}</p>}
      </section>
      <section class="next-questions" aria-labelledby="next">
        <h2 id="next" class="small">
          {t.speaker.next}
        </h2>
        {next.length === 0 && <Empty>{t.speaker.noNext}</Empty>}
        <ol class="stack tight" data-testid="next-questions">
          {next.map((question) => (
            <Next key={question.id} question={question} taken={current !== undefined} />
          ))}
        </ol>
      </section>
    </div>
  );
}

function Current({ question }: { question: PublicQuestion }) {
  const visit = useVisit();
  const t = text().speaker;
  const acts = questionActs(visit, question);
  const blocked = visit.blocked.value;
  const others = speakers(visit).filter(
    (person) => person.id !== visit.myId.value && person.id !== question.addressee,
  );
  return (
    <>
      <p class="current-text prewrap" data-question={question.id}>
        {question.text}
      </p>
      <div class="row wrap tight small soft">
        <span class="num">#{question.number}</span>
        <span>{question.author ? visit.card(question.author).name : text().common.anonymous}</span>
        <To question={question} />
      </div>
      <div class="row wrap">
        <Button variant="primary" blocked={blocked} testid="mark-answered" onClick={acts.answered}>
          {t.answered}
        </Button>
        <Button
          icon={<MessageSquareText aria-hidden="true" />}
          blocked={blocked}
          testid="mark-text"
          onClick={acts.inText}
        >
          {t.inText}
        </Button>
        {others.length > 0 && (
          <Menu
            label={t.passOn}
            words={t.passOn}
            icon={<Forward aria-hidden="true" />}
            testid="pass"
            items={others.map((person) => ({
              label: t.pass(person.name),
              onChoose: () => acts.pass(person.id),
            }))}
          />
        )}
      </div>
    </>
  );
}

function To({ question }: { question: PublicQuestion }) {
  const visit = useVisit();
  const t = text();
  if (!question.addressee) return <Badge>{t.speaker.toAll}</Badge>;
  if (question.addressee === visit.myId.value) return <Badge tone="accent">{t.speaker.toMe}</Badge>;
  return <Badge>{t.qa.to(withSan(visit.card(question.addressee).name))}</Badge>;
}

function Next({ question, taken }: { question: PublicQuestion; taken: boolean }) {
  const visit = useVisit();
  const t = text();
  const votes = votesOf(visit, question.id);
  const acts = questionActs(visit, question);
  return (
    <li class="next-card" data-testid="next-question" data-question={question.id}>
      <p class="prewrap">{question.text}</p>
      <div class="row wrap tight">
        <span class="small soft num">#{question.number}</span>
        <To question={question} />
        {votes !== null && votes > 0 && <span class="small soft num">{t.qa.votes(count(votes))}</span>}
        <span class="grow" />
        <Button
          size="small"
          blocked={visit.blocked.value ?? (taken ? t.refusals.live_taken : null)}
          testid="take"
          onClick={acts.take}
        >
          {t.speaker.take}
        </Button>
      </div>
    </li>
  );
}
