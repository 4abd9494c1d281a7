import { computed, signal } from "@preact/signals";

export type DeviceTrouble = "denied" | "none" | "busy";

const KEY = "madoi.devices";

interface Chosen {
  camera: string;
  microphone: string;
  speaker: string;
}

function remembered(): Chosen {
  const nothing = { camera: "", microphone: "", speaker: "" };
  try {
    return { ...nothing, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
  } catch {
    return nothing;
  }
}

/** The devices the person picked at the door, kept for next time. */
export const chosen = signal<Chosen>(remembered());
/** What there is to pick from; names appear once access was given. */
export const available = signal<MediaDeviceInfo[]>([]);
/** The local camera and microphone, once asked for. */
export const local = signal<MediaStream | null>(null);
export const trouble = signal<DeviceTrouble | null>(null);
/** The microphone's level, 0–1, ten times a second. */
export const level = signal(0);
export const micOn = signal(true);
export const cameraOn = signal(true);

let audio: AudioContext | null = null;
let stopMeter: (() => void) | null = null;

/** The page's audio context; made (or woken) inside a gesture. */
export function awakeAudio(): AudioContext {
  audio ??= new AudioContext();
  if (audio.state === "suspended") void audio.resume();
  return audio;
}

export async function listDevices(): Promise<void> {
  available.value = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
}

export function choose(change: Partial<Chosen>): void {
  chosen.value = { ...chosen.value, ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(chosen.value));
  } catch {
    // The choice holds for this page.
  }
}

function troubleOf(error: unknown): DeviceTrouble {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "denied";
  return name === "NotReadableError" || name === "AbortError" ? "busy" : "none";
}

const exact = (id: string) => (id ? { deviceId: { ideal: id } } : {});
const video = (): MediaTrackConstraints => ({
  ...exact(chosen.value.camera),
  width: { ideal: 1280 },
  height: { ideal: 720 },
  frameRate: { ideal: 24, max: 30 },
});
const sound = (): MediaTrackConstraints => ({
  ...exact(chosen.value.microphone),
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
});

/** Asks for the microphone, and for the camera unless it is off; falls back to the microphone alone. */
export async function openDevices(): Promise<MediaStream | null> {
  if (!navigator.mediaDevices) {
    trouble.value = "none";
    return null;
  }
  let stream: MediaStream | null = null;
  try {
    const wanted = cameraOn.value ? { video: video(), audio: sound() } : { audio: sound() };
    stream = await navigator.mediaDevices.getUserMedia(wanted);
    trouble.value = null;
  } catch (error) {
    trouble.value = troubleOf(error);
    stream = await navigator.mediaDevices.getUserMedia({ audio: sound() }).catch(() => null);
  }
  closeDevices();
  // The camera may have been turned off while the browser asked.
  local.value = stream && !cameraOn.value ? withoutCamera(stream) : stream;
  if (stream) {
    for (const track of stream.getAudioTracks()) track.enabled = micOn.value;
    meter(stream);
  }
  await listDevices();
  return local.value;
}

export function closeDevices(): void {
  stopMeter?.();
  stopMeter = null;
  for (const track of local.value?.getTracks() ?? []) track.stop();
  local.value = null;
  level.value = 0;
}

export function setMic(on: boolean): void {
  micOn.value = on;
  for (const track of local.value?.getAudioTracks() ?? []) track.enabled = on;
}

/** Whether there is a picture of one's own: the camera is wanted, and it opened. */
export const cameraLive = computed(() => (local.value?.getVideoTracks().length ?? 0) > 0);

function withoutCamera(stream: MediaStream): MediaStream {
  for (const track of stream.getVideoTracks()) track.stop();
  return new MediaStream(stream.getAudioTracks());
}

/** Closes the camera, its light included, or opens it again; one that does not open is off, and `trouble` says why. */
export async function setCamera(on: boolean): Promise<void> {
  cameraOn.value = on;
  if (!local.value) return;
  local.value = withoutCamera(local.value);
  if (!on) return;
  const before = local.value;
  const camera = await navigator.mediaDevices.getUserMedia({ video: video() }).catch((error: unknown) => {
    if (local.value === before) trouble.value = troubleOf(error);
    return null;
  });
  if (local.value !== before) {
    if (camera) withoutCamera(camera);
    return;
  }
  if (!camera) {
    cameraOn.value = false;
    return;
  }
  trouble.value = null;
  local.value = new MediaStream([...before.getAudioTracks(), ...camera.getVideoTracks()]);
}

function meter(stream: MediaStream): void {
  if (stream.getAudioTracks().length === 0) return;
  const context = awakeAudio();
  const source = context.createMediaStreamSource(stream);
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    let sum = 0;
    for (const sample of samples) sum += sample * sample;
    const decibels = 20 * Math.log10(Math.sqrt(sum / samples.length) + 1e-6);
    level.value = Math.min(1, Math.max(0, (decibels + 60) / 54));
  }, 100);
  stopMeter = () => {
    clearInterval(timer);
    source.disconnect();
  };
}

/** Plays three soft tones, to the chosen speaker where the browser can. */
export async function testTone(): Promise<void> {
  const context = awakeAudio();
  const sink = context as AudioContext & { setSinkId?: (id: string) => Promise<void> };
  if (chosen.value.speaker && sink.setSinkId)
    await sink.setSinkId(chosen.value.speaker).catch(() => undefined);
  [392, 494, 587].forEach((pitch, i) => {
    const at = context.currentTime + 0.05 + i * 0.32;
    const tone = context.createOscillator();
    const gain = context.createGain();
    tone.frequency.value = pitch;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(0.18, at + 0.04);
    gain.gain.exponentialRampToValueAtTime(0.001, at + 0.5);
    tone.connect(gain).connect(context.destination);
    tone.start(at);
    tone.stop(at + 0.55);
  });
}

/** A short knock for the staff: two low taps. */
export function knockSound(): void {
  const context = awakeAudio();
  for (const offset of [0, 0.16]) {
    const at = context.currentTime + offset;
    const tap = context.createOscillator();
    const gain = context.createGain();
    tap.frequency.value = 180;
    gain.gain.setValueAtTime(0.25, at);
    gain.gain.exponentialRampToValueAtTime(0.001, at + 0.12);
    tap.connect(gain).connect(context.destination);
    tap.start(at);
    tap.stop(at + 0.13);
  }
}
