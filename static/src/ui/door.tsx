import { Camera, CircleAlert, LinkIcon, LogIn, Volume2 } from "lucide-preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "../core/api.ts";
import { text } from "../i18n/index.ts";
import { Page } from "./app.tsx";
import { NetworkCheck } from "./check.tsx";
import { DataChoice } from "./data.tsx";
import {
  available,
  awakeAudio,
  cameraOn,
  choose,
  chosen,
  closeDevices,
  level,
  listDevices,
  local,
  openDevices,
  testTone,
  trouble,
} from "./devices.ts";
import { moment, problem } from "./format.ts";
import { Keeps } from "./keeps.tsx";
import { Empty, Meter, Notice } from "./kit/bits.tsx";
import { Button } from "./kit/button.tsx";
import { Select, Switch, TextField } from "./kit/field.tsx";
import { StateBadge } from "./organise.tsx";
import { useVisit } from "./visit.ts";

const NAME_KEY = "madoi.name";
const PROFESSION_KEY = "madoi.profession";

function kept(key: string): string {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

function keep(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Typed again next time.
  }
}

/** Answers after which trying again with the same link is of no use. */
const FINAL: ReadonlySet<string> = new Set(["bad_ticket", "unauthorized", "link_used", "removed", "ended"]);

/** The door: who you are, one button that also starts the sound, and a short check for who wants one. */
export function Door() {
  const visit = useVisit();
  const t = text();
  const facts = visit.facts.value;
  const [name, setName] = useState(visit.me.value?.name ?? kept(NAME_KEY));
  const [profession, setProfession] = useState(kept(PROFESSION_KEY));
  const [nameless, setNameless] = useState(false);
  const [trouble, setTrouble] = useState(visit.trouble.value);
  const [pending, setPending] = useState(false);
  const enter = async () => {
    if (!name.trim()) {
      setNameless(true);
      return;
    }
    setPending(true);
    setTrouble(null);
    awakeAudio();
    keep(NAME_KEY, name.trim());
    keep(PROFESSION_KEY, profession.trim());
    try {
      await visit.enter(name.trim(), profession.trim());
      if (!visit.isExpert.value) closeDevices();
    } catch (failure) {
      setTrouble(failure instanceof Problem ? failure.code : "unknown");
    } finally {
      setPending(false);
    }
  };
  const refused = trouble !== null && FINAL.has(trouble);
  if (refused || !visit.hasTicket) {
    return (
      <Page>
        <SessionHead />
        {refused ? (
          <section class="card stack tight" role="alert" data-testid="refused">
            <h2>{t.door.refusedTitle}</h2>
            <p>{problem(trouble)}</p>
          </section>
        ) : (
          <div class="card">
            <Empty icon={<LinkIcon aria-hidden="true" />}>{t.door.noTicket}</Empty>
          </div>
        )}
        {facts && (
          <div class="card">
            <Keeps of={facts} />
          </div>
        )}
      </Page>
    );
  }
  const expert = visit.me.value?.role === "speaker" || visit.me.value?.role === "presenter";
  return (
    <Page wide>
      <SessionHead />
      <div class="door">
        <form
          class="card stack"
          onSubmit={(event) => {
            event.preventDefault();
            void enter();
          }}
        >
          {visit.me.value && <p class="small soft">{t.door.enterAs(t.roles[visit.me.value.role])}</p>}
          <TextField
            label={t.door.name}
            hint={visit.me.value ? t.door.nameKnown : t.door.nameHint}
            value={name}
            readOnly={visit.me.value !== null}
            error={nameless ? t.door.nameNeeded : null}
            maxLength={40}
            autoComplete="name"
            testid="name"
            onInput={(value) => {
              setName(value);
              setNameless(false);
            }}
          />
          {visit.me.value === null && (
            <TextField
              label={t.door.profession + t.common.aside(t.common.optional)}
              value={profession}
              maxLength={40}
              autoComplete="organization-title"
              testid="profession"
              onInput={setProfession}
            />
          )}
          {trouble && (
            <Notice tone="warn" icon={<CircleAlert aria-hidden="true" />} role="alert">
              {problem(trouble)}
            </Notice>
          )}
          {facts && (facts.state === "published" || facts.state === "draft") && (
            <Notice>{t.door.notOpenYet}</Notice>
          )}
          <Button
            type="submit"
            variant="primary"
            size="large"
            block
            pending={pending}
            icon={<LogIn aria-hidden="true" />}
            testid="enter"
          >
            {pending ? t.door.entering : t.door.enter}
          </Button>
          <p class="small soft">{expert ? t.door.gestureExpert : t.door.gesture}</p>
        </form>
        <section class="card stack door-check">
          <div>
            <h2>{t.door.check}</h2>
            <p class="small soft">{t.door.checkHint}</p>
          </div>
          <SoundCheck />
          <CameraCheck />
          <hr />
          <NetworkCheck />
        </section>
        <section class="card stack">
          <DataChoice />
          <p class="small soft">{t.data.hint}</p>
        </section>
        {facts && (
          <div class="card door-keeps">
            <Keeps of={facts} />
          </div>
        )}
      </div>
    </Page>
  );
}

function SessionHead() {
  const visit = useVisit();
  const t = text();
  const facts = visit.facts.value;
  return (
    <header class="stack tight">
      <div class="row wrap">
        <span class="small soft">{t.door.title}</span>
        {facts && <StateBadge state={facts.state} />}
      </div>
      <h1>{facts?.title ?? t.door.title}</h1>
      {facts?.starts_at && <p class="soft num">{moment(facts.starts_at)}</p>}
    </header>
  );
}

function SoundCheck() {
  const t = text().door;
  const speakers = available.value.filter((device) => device.kind === "audiooutput" && device.deviceId);
  return (
    <div class="stack tight">
      <span class="label">{t.sound}</span>
      <div class="row wrap">
        <Button icon={<Volume2 aria-hidden="true" />} testid="tone" onClick={() => void testTone()}>
          {t.tone}
        </Button>
        <span class="small soft grow">{t.soundHint}</span>
      </div>
      {speakers.length > 1 && (
        <Select
          label={t.speaker}
          value={chosen.value.speaker}
          options={[
            { value: "", label: t.defaultDevice },
            ...speakers.map((device) => ({ value: device.deviceId, label: device.label || t.speaker })),
          ]}
          onChange={(speaker) => choose({ speaker })}
        />
      )}
    </div>
  );
}

/** A local picture: mirrored, silent. */
export function Preview({ stream, class: name }: { stream: MediaStream | null; class?: string }) {
  const ref = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (ref.current && ref.current.srcObject !== stream) ref.current.srcObject = stream;
  }, [stream]);
  return (
    <video
      ref={ref}
      class={`mirror ${name ?? ""}`}
      autoPlay
      playsInline
      muted
      aria-label={text().door.blur}
    />
  );
}

export function DevicePicker() {
  const t = text().door;
  const pick = (kind: MediaDeviceKind, fallback: string) => [
    ...available.value
      .filter((device) => device.kind === kind && device.deviceId)
      .map((device, i) => ({ value: device.deviceId, label: device.label || `${fallback} ${i + 1}` })),
  ];
  const cameras = pick("videoinput", t.camera);
  const microphones = pick("audioinput", t.microphone);
  const current = (kind: "video" | "audio") =>
    local.value
      ?.getTracks()
      .find((track) => track.kind === kind)
      ?.getSettings().deviceId ?? chosen.value[kind === "video" ? "camera" : "microphone"];
  const change = (what: Partial<{ camera: string; microphone: string }>) => {
    choose(what);
    void openDevices();
  };
  return (
    <>
      {cameras.length > 0 && (
        <Select
          label={t.camera}
          value={current("video")}
          options={cameras}
          testid="camera-device"
          onChange={(camera) => change({ camera })}
        />
      )}
      {microphones.length > 0 && (
        <Select
          label={t.microphone}
          value={current("audio")}
          options={microphones}
          testid="microphone-device"
          onChange={(microphone) => change({ microphone })}
        />
      )}
    </>
  );
}

export function DeviceTroubleNotice() {
  const t = text().door;
  if (!trouble.value) return null;
  const words = { denied: t.denied, none: t.noDevice, busy: t.busy }[trouble.value];
  return (
    <Notice tone="warn" icon={<CircleAlert aria-hidden="true" />} role="alert">
      {words}
    </Notice>
  );
}

function CameraCheck() {
  const t = text().door;
  const stream = local.value;
  useEffect(() => void listDevices(), []);
  return (
    <>
      <div class="preview" data-theme="dark">
        {stream?.getVideoTracks().length ? (
          <Preview stream={stream} />
        ) : (
          <div class="preview-off">
            <Camera size={36} aria-hidden="true" />
            <span>{t.devicesOff}</span>
          </div>
        )}
      </div>
      <DeviceTroubleNotice />
      {stream ? (
        <>
          <div class="stack tight">
            <Meter level={level.value} label={t.level} testid="level" />
            <span class="small soft">{t.speakNow}</span>
          </div>
          <DevicePicker />
          <Switch label={t.devicesOn} checked onChange={() => closeDevices()} />
        </>
      ) : (
        <>
          <Button
            icon={<Camera aria-hidden="true" />}
            testid="check-devices"
            onClick={() => {
              cameraOn.value = true;
              void openDevices();
            }}
          >
            {t.devicesOn}
          </Button>
          <p class="small soft">{t.devicesNot}</p>
        </>
      )}
    </>
  );
}
