import type { Option, Poll, PollForm, PublicPoll } from "./wire.ts";

/** What may be shown as a poll: the staff's card and the public one alike. */
export type AnyPoll = Omit<PublicPoll, "number"> & { number?: number };

/** A poll's form while it is being written: every field has a value, options may still be empty. */
export type Writing = Required<PollForm>;

/** The form before anything is written. */
export const EMPTY: Writing = {
  text: "",
  kind: "single",
  options: ["", ""],
  least: 1,
  most: 0,
  scale: 5,
  low: "",
  high: "",
  results: "closed",
};

/** The form that makes a poll like this one. */
export function likeness(poll: Poll): Writing {
  const rating = poll.kind === "rating";
  const options = poll.options.map((option) => option.text);
  return {
    text: poll.text,
    kind: poll.kind,
    options: rating ? EMPTY.options : options,
    least: poll.least ?? 1,
    most: poll.kind === "multiple" ? (poll.most ?? 0) : 0,
    scale: rating ? options.length : EMPTY.scale,
    low: poll.low ?? "",
    high: poll.high ?? "",
    results: poll.results ?? "closed",
  };
}

/** What goes to the server: no empty option, only what the kind knows, and limits that fit the options. */
export function formOf({ text, kind, results, options, least, most, scale, low, high }: Writing): PollForm {
  const common = { text: text.trim(), kind, results };
  if (kind === "rating") return { ...common, scale, low: low.trim(), high: high.trim() };
  const texts = options.map((option) => option.trim()).filter(Boolean);
  if (kind === "single") return { ...common, options: texts };
  const top = most === 0 ? texts.length : Math.min(most, texts.length);
  return { ...common, options: texts, least: Math.min(least, top), most: top };
}

/** What a form still lacks, or null. */
export function lacking(form: PollForm): "question" | "options" | "difference" | null {
  if (!form.text) return "question";
  if (form.kind === "rating") return null;
  const options = form.options ?? [];
  if (options.length < 2) return "options";
  return new Set(options.map((each) => each.toLowerCase())).size < options.length ? "difference" : null;
}

/** Whether a choice may be cast: not too few, not too many, and not what lies in the box already. */
export function castable(
  { least = 1, most = 1 }: AnyPoll,
  choice: readonly string[],
  mine: readonly string[] | undefined,
): "yes" | "number" | "same" {
  if (choice.length < least || choice.length > most) return "number";
  return mine?.length === choice.length && mine.every((id) => choice.includes(id)) ? "same" : "yes";
}

/** The open poll first, then the newest. */
export function inOrder(polls: readonly PublicPoll[]): PublicPoll[] {
  return polls.toSorted(
    (a, b) => Number(b.state === "open") - Number(a.state === "open") || b.number - a.number,
  );
}

/** What everybody should look at: the poll that is open, or else the newest results on screen. */
export function foremost(polls: readonly PublicPoll[]): PublicPoll | undefined {
  const [first] = inOrder(polls);
  return first?.state === "open" ? first : inOrder(polls).find((poll) => poll.shown);
}

/** The average step of a scale, if anybody has voted. */
export function average(options: readonly Option[], counts: Readonly<Record<string, number>>): number | null {
  const votes = options.map((option) => counts[option.id] ?? 0);
  const all = votes.reduce((sum, each) => sum + each, 0);
  return all === 0 ? null : votes.reduce((sum, each, at) => sum + each * (at + 1), 0) / all;
}
