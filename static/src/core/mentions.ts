/** Mentions in plain text: an @ and a name, as the people inside are called. */

export interface Begun {
  /** Where the @ stands. */
  start: number;
  /** What has been typed of the name. */
  typed: string;
}

/** The mention that is being typed at `caret`, if one is. An @ inside a word (a mail address) begins none. */
export function begun(text: string, caret: number): Begun | null {
  const found = /(?:^|[^\p{L}\p{N}._-])@([^\s@]{0,20})$/u.exec(text.slice(0, caret));
  return found ? { start: caret - (found[1] ?? "").length - 1, typed: found[1] ?? "" } : null;
}

/** The names that go on from what was typed, those that begin with it first. */
export function suggestions(names: readonly string[], typed: string, most = 5): string[] {
  const wanted = fold(typed);
  const fitting = [...new Set(names)].filter((name) => fold(name).includes(wanted));
  const begins = (name: string) => (fold(name).startsWith(wanted) ? 0 : 1);
  return fitting.sort((a, b) => begins(a) - begins(b)).slice(0, most);
}

/** The text with the mention completed, and where the caret goes. */
export function completed(
  text: string,
  caret: number,
  mention: Begun,
  name: string,
): { text: string; caret: number } {
  const head = `${text.slice(0, mention.start)}@${name} `;
  return { text: head + text.slice(caret).replace(/^ /, ""), caret: head.length };
}

/** Whether a text calls somebody by name. */
export function calls(text: string, name: string): boolean {
  return name !== "" && text.includes(`@${name}`);
}

function fold(name: string): string {
  return name.normalize("NFKC").toLowerCase();
}
