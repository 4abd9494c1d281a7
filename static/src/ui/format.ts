import { lang, locale, text } from "../i18n/index.ts";

/** A duration as 03:20, or 1:03:20 past the hour. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), seconds % 60];
  const two = (n: number) => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${two(m)}:${two(s)}`;
}

export function clock(at: number): string {
  return new Intl.DateTimeFormat(locale(), { hour: "2-digit", minute: "2-digit" }).format(at);
}

/** Day and time in the viewer's zone, with the zone's name. */
export function moment(at: number | string | null): string {
  if (at === null) return text().organise.undecided;
  return new Intl.DateTimeFormat(locale(), {
    month: "long",
    day: "numeric",
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    timeZoneName: "short",
  }).format(new Date(at));
}

export function count(n: number): string {
  return new Intl.NumberFormat(locale()).format(n);
}

/** A name with 「さん」 where Japanese wants it. */
export function withSan(name: string): string {
  return lang.value === "ja" ? `${name}さん` : name;
}

/** The sentence for a refusal's code. */
export function refusal(code: string | undefined): string {
  const t = text();
  return t.refusals[code ?? ""] ?? t.refusedOther;
}

/** The sentence for an HTTP problem's code. */
export function problem(code: string): string {
  const t = text();
  return t.problems[code] ?? t.refusals[code] ?? t.problemOther(code);
}

/** Kilobits per second in words: 640 kbit/s, 1.2 Mbit/s. */
export function rate(kilobits: number): string {
  return kilobits >= 1000 ? `${(kilobits / 1000).toFixed(1)} Mbit/s` : `${Math.round(kilobits)} kbit/s`;
}
