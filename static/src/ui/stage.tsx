import type { Signal } from "@preact/signals";
import { MicOff, Presentation, RotateCw, VideoOff, Volume2 } from "lucide-preact";
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Source } from "../core/media.ts";
import { Level } from "../core/wire.ts";
import { text } from "../i18n/index.ts";
import { Mark } from "./app.tsx";
import { DataNote } from "./data.tsx";
import { cameraLive, local, micOn } from "./devices.ts";
import { Preview } from "./door.tsx";
import { clock } from "./format.ts";
import { Avatar, Bars } from "./kit/bits.tsx";
import { Button } from "./kit/button.tsx";
import { tier } from "./tier.ts";
import { useVisit } from "./visit.ts";

/** How long a camera may bring no frame before its tile shows the name instead of a frozen face, in milliseconds. */
const STALE_MS = 3_000;
/** How long its first frame is waited for, before it is taken for a camera that is off, in milliseconds. */
const FIRST_MS = 6_000;
/** What a browser takes for a touch of the page. */
const TOUCHES = ["click", "keydown"] as const;

type Flow = "waiting" | "flowing" | "stale";

/** Whether frames are being drawn right now: browsers do not tell when a sender turned the camera off. */
function useFlow(video: RefObject<HTMLVideoElement>, track: MediaStreamTrack | null, source: Source): Flow {
  const [flow, setFlow] = useState<Flow>("waiting");
  useEffect(() => {
    setFlow("waiting");
    if (!track) return;
    let frames = 0;
    let last = Date.now();
    const look = () => {
      const drawn = video.current?.getVideoPlaybackQuality().totalVideoFrames ?? 0;
      if (drawn !== frames) {
        frames = drawn;
        last = Date.now();
        setFlow("flowing");
      } else if (source === "camera" && !document.hidden) {
        if (Date.now() - last > (frames > 0 ? STALE_MS : FIRST_MS)) setFlow("stale");
      }
    };
    const timer = setInterval(look, 400);
    return () => clearInterval(timer);
  }, [track]);
  return flow;
}

/** One person's picture (or screen), with name and what there is to know about it. */
function Tile({ person, source }: { person: string; source: Source }) {
  const visit = useVisit();
  const t = text();
  const stage = visit.view.value?.stage ?? {};
  const room = visit.room.value;
  const card = visit.card(person);
  const mine = person === visit.myId.value;
  const video = useRef<HTMLVideoElement>(null);
  const track = mine ? null : visit.media.track(stage, person, source, "video");
  const flow = useFlow(video, track, source);
  const flowing = flow === "flowing";
  useEffect(() => {
    const element = video.current;
    if (!element) return;
    element.srcObject = track ? new MediaStream([track]) : null;
    if (track) element.play().catch(() => undefined);
  }, [track]);
  const away = stage.away?.includes(person) ?? false;
  const muted = room.stage.muted[person]?.includes("microphone") || (mine && !micOn.value);
  const quality = stage.lines?.[person];
  const speaking = stage.speaking === person && !muted;
  const ownPicture = mine && source === "camera" && cameraLive.value;
  const ownScreen = mine && source === "screen" ? visit.media.screen.value : null;
  const leftOut = !mine && (tier.value === "captions" || (tier.value === "audio" && source === "camera"));
  const dark = (!flowing || leftOut) && !ownPicture && !ownScreen;
  return (
    <figure class={`tile ${source} ${speaking ? "speaking" : ""}`} data-testid="tile" data-tile={person}>
      {!mine && (
        <video
          ref={video}
          autoPlay
          playsInline
          muted
          class={dark ? "waiting" : ""}
          data-person={person}
          data-source={source}
          aria-label={source === "screen" ? t.stage.screenOf(card.name) : card.name}
        />
      )}
      {ownPicture && <Preview stream={local.value} />}
      {ownScreen && <Preview stream={ownScreen} class="screen" />}
      {dark && (
        <div class="tile-dark">
          <Avatar id={person} name={card.name} large />
          <span class="small tile-why">
            {away ? (
              <>
                <RotateCw size={16} aria-hidden="true" />
                {t.stage.away}
              </>
            ) : leftOut ? (
              t.data.off
            ) : visit.media.watching.value === "recovering" ? null : track && flow === "waiting" ? (
              t.stage.connecting
            ) : (
              <>
                <VideoOff size={16} aria-hidden="true" />
                {t.stage.noVideo}
              </>
            )}
          </span>
        </div>
      )}
      {away && !dark && <div class="tile-away">{t.stage.away}</div>}
      <figcaption>
        <span class="tile-name strong clip">{card.name}</span>
        <span class="tile-role clip">{card.profession || t.roles[card.role]}</span>
        {speaking && <span class="sr">{t.stage.speaking}</span>}
        <span class="grow" />
        {source === "screen" && <Presentation size={16} aria-hidden="true" />}
        {muted && (
          <span class="row tight" title={t.stage.muted}>
            <MicOff size={16} aria-hidden="true" />
            <span class="sr">{t.stage.muted}</span>
          </span>
        )}
        {quality !== undefined && quality < 3 && (
          <Bars quality={quality} label={t.line.quality[quality] ?? ""} />
        )}
      </figcaption>
    </figure>
  );
}

/** Everybody's sound, wherever the tiles are. */
export function Sounds() {
  const visit = useVisit();
  useSoundAtTouch(visit.media.silenced);
  const stage = visit.view.value?.stage ?? {};
  return (
    <div hidden>
      {visit.media.sounds(stage, visit.myId.value).map(({ mid, track, person }) => (
        <Sound key={mid} track={track} person={person} />
      ))}
    </div>
  );
}

/** A browser that plays nothing before somebody has touched the page is asked again at the next touch, wherever. */
function useSoundAtTouch(silenced: Signal<boolean>) {
  const { value } = silenced;
  useEffect(() => {
    if (!value) return;
    const touched = () => {
      silenced.value = false;
    };
    for (const kind of TOUCHES) document.addEventListener(kind, touched, true);
    return () => {
      for (const kind of TOUCHES) document.removeEventListener(kind, touched, true);
    };
  }, [value]);
}

function Sound({ track, person }: { track: MediaStreamTrack; person: string }) {
  const visit = useVisit();
  const ref = useRef<HTMLAudioElement>(null);
  const { silenced } = visit.media;
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    element.srcObject = new MediaStream([track]);
    const play = () =>
      element.play().then(
        () => undefined,
        (error: unknown) => {
          if (error instanceof DOMException && error.name === "NotAllowedError") silenced.value = true;
        },
      );
    return silenced.subscribe((on) => {
      if (!on) void play(); // now, if it is allowed
    });
  }, [track]);
  // biome-ignore lint/a11y/useMediaCaption: live speech has no caption track yet
  return <audio ref={ref} data-person={person} data-source="microphone" />;
}

/** Who is to be seen, and where: side by side, under a screen, or one alone. */
function usePeople(): { large: { person: string; source: Source }[]; strip: string[] } {
  const visit = useVisit();
  const room = visit.room.value;
  const slots = Object.values(visit.view.value?.stage.slots ?? {});
  const seats = room.stage.seats;
  const live = room.session.state === "live";
  const behind = visit.level.value >= Level.STAGE;
  const publishing = slots.filter((slot) => slot.source !== "screen").map((slot) => slot.person);
  const own = visit.mayPublish.value && visit.media.sending.value !== "idle" ? [visit.myId.value] : [];
  const people = live || !behind ? [...seats] : [...new Set([...seats, ...publishing, ...own])];
  const shown = people.filter((person) => person !== "");
  const sharing = visit.screenOf.value;
  if (sharing) return { large: [{ person: sharing, source: "screen" }], strip: shown };
  const { spotlight } = room.stage;
  if (spotlight && shown.includes(spotlight)) {
    return {
      large: [{ person: spotlight, source: "camera" }],
      strip: shown.filter((person) => person !== spotlight),
    };
  }
  return { large: shown.map((person) => ({ person, source: "camera" })), strip: [] };
}

/** The stage: always dark, always the same size, whatever is on it. */
export function Stage({ compact }: { compact?: boolean }) {
  const visit = useVisit();
  const t = text().stage;
  const room = visit.room.value;
  const { large, strip } = usePeople();
  const state = room.session.state;
  const behind = visit.level.value >= Level.STAGE;
  const starts = room.session.settings?.starts_at ?? null;
  let cover: { words: string; hint: string } | null = null;
  if (room.stage.veiled && !behind) cover = { words: t.veiled, hint: t.veiledHint };
  else if (state === "after" || state === "closed") cover = { words: t.ended, hint: "" };
  else if (state !== "live" && !behind) {
    cover = { words: t.curtain, hint: starts === null ? t.curtainHint : t.curtainAt(clock(starts)) };
  } else if (large.length === 0) cover = { words: t.nobody, hint: "" };
  const media = visit.media.watching.value;
  return (
    <section
      class={`stage ${compact ? "compact" : ""} count-${Math.min(6, large.length)} ${strip.length ? "with-strip" : ""}`}
      data-theme="dark"
      aria-label={t.label}
      data-testid="stage"
      data-media={media}
    >
      {cover ? (
        <div class="curtain">
          <Mark size={48} />
          <p class="curtain-words">{cover.words}</p>
          {cover.hint && <p class="soft small num">{cover.hint}</p>}
        </div>
      ) : (
        <>
          <div class="tiles">
            {large.map(({ person, source }) => (
              <Tile key={`${person}-${source}`} person={person} source={source} />
            ))}
          </div>
          {strip.length > 0 && (
            <div class="strip">
              {strip.map((person) => (
                <Tile key={person} person={person} source="camera" />
              ))}
            </div>
          )}
        </>
      )}
      {room.stage.veiled && behind && <p class="stage-note warn">{t.veiled}</p>}
      {!cover && media !== "recovering" && media !== "refused" && <DataNote />}
      {!cover && media === "recovering" && (
        <p class="stage-note" role="status">
          {t.recovering}
        </p>
      )}
      {!cover && media === "refused" && <p class="stage-note">{t.mediaRefused}</p>}
      {visit.media.silenced.value && ( // a place to touch: see `useSoundAtTouch`
        <Button class="stage-sound" variant="primary" icon={<Volume2 aria-hidden="true" />} testid="sound-on">
          {t.sound}
        </Button>
      )}
    </section>
  );
}
