import type { ComponentChildren } from "preact";

type Tone = "plain" | "accent" | "good" | "warn" | "live" | "live-soft";

export function Badge({ tone = "plain", children }: { tone?: Tone; children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

function toneOf(seed: string): number {
  let sum = 0;
  for (const char of seed) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 6007;
  return sum % 6;
}

/** A person's first letter on one of six quiet colours; decoration only, the name stands beside it. */
export function Avatar({ id, name, large }: { id: string | null; name: string; large?: boolean }) {
  const letter = [...name.trim()][0] ?? "?";
  const tone = id === null ? "anonymous" : `tone-${toneOf(id)}`;
  return (
    <span class={`avatar ${tone} ${large ? "large" : ""}`} aria-hidden="true">
      {id === null ? "匿" : letter.toUpperCase()}
    </span>
  );
}

const SEGMENTS = 16;

/** A level between 0 and 1 in sixteen steps. */
export function Meter({ level, label, testid }: { level: number; label: string; testid?: string }) {
  const lit = Math.round(Math.min(1, Math.max(0, level)) * SEGMENTS);
  return (
    <div
      class="meter"
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={SEGMENTS}
      aria-valuenow={lit}
      data-testid={testid}
    >
      {Array.from({ length: SEGMENTS }, (_, i) => (
        <i key={i} class={i < lit ? (i > SEGMENTS - 4 ? "on hot" : "on") : ""} />
      ))}
    </div>
  );
}

/** Line quality 0–3 as bars with words for those who do not see bars. */
export function Bars({ quality, label }: { quality: number; label: string }) {
  return (
    <span class="bars" role="img" aria-label={label} title={label}>
      <i class={quality >= 1 ? "on" : ""} />
      <i class={quality >= 2 ? "on" : ""} />
      <i class={quality >= 3 ? "on" : ""} />
    </span>
  );
}

export function Empty({ icon, children }: { icon?: ComponentChildren; children: ComponentChildren }) {
  return (
    <div class="empty">
      {icon}
      <p>{children}</p>
    </div>
  );
}

export function Skeleton({ lines = 3, label }: { lines?: number; label: string }) {
  return (
    <div class="stack tight" role="status" aria-label={label} aria-busy="true">
      {Array.from({ length: lines }, (_, i) => (
        <div class="skeleton" key={i} />
      ))}
    </div>
  );
}

export function Notice({
  tone = "plain",
  icon,
  children,
  role,
  testid,
}: {
  tone?: "plain" | "warn" | "live" | "good";
  icon?: ComponentChildren;
  children: ComponentChildren;
  role?: "status" | "alert";
  testid?: string;
}) {
  return (
    <div class={`notice ${tone}`} role={role} data-testid={testid}>
      {icon}
      <div class="grow">{children}</div>
    </div>
  );
}
