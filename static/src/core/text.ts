const graphemes = new Intl.Segmenter("ja", { granularity: "grapheme" });

/** Length as a reader counts: in graphemes, after NFC and trimming. */
export function length(text: string): number {
  let count = 0;
  for (const _ of graphemes.segment(text.normalize("NFC").trim())) count += 1;
  return count;
}

function bigrams(text: string): Set<string> {
  const plain = text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[\s\p{P}\p{S}]/gu, "");
  const letters = [...plain];
  const pairs = new Set<string>();
  for (let i = 0; i + 1 < letters.length; i += 1) pairs.add(`${letters[i]}${letters[i + 1]}`);
  return pairs;
}

/** How alike two texts are, 0–1 (Dice over letter pairs: works without word borders, as Japanese needs). */
export function likeness(a: string, b: string): number {
  const one = bigrams(a);
  const two = bigrams(b);
  if (one.size === 0 || two.size === 0) return 0;
  let shared = 0;
  for (const pair of one) if (two.has(pair)) shared += 1;
  return (2 * shared) / (one.size + two.size);
}

/** The candidates most like a draft, best first, at most three. */
export function similar<T extends { text: string }>(draft: string, candidates: readonly T[]): T[] {
  if (length(draft) < 8) return [];
  return candidates
    .map((candidate) => ({ candidate, score: likeness(draft, candidate.text) }))
    .filter(({ score }) => score >= 0.35)
    .sort((a, b) => b.score - a.score)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

export type PrivacyHint = "name" | "hospital" | "birth" | "phone" | "mail";

const HINTS: [PrivacyHint, RegExp][] = [
  ["name", /[一-龠々ァ-ヶー]{1,6}(?:さん|様|さま|くん|ちゃん)|\b(?:Mr|Ms|Mrs|Dr)\.? [A-Z]\w+/u],
  [
    "hospital",
    /[一-龠々ァ-ヶーA-Za-z]{1,12}(?:病院|クリニック|医院|診療所|医療センター)|\b[A-Z]\w+ (?:Hospital|Clinic)\b/u,
  ],
  [
    "birth",
    /生年月日|誕生日|(?:19|20)\d{2}[年/.-]\s?\d{1,2}[月/.-]\s?\d{1,2}日?|(?:昭和|平成|令和)\s?(?:\d{1,2}|元)年\s?\d{1,2}月/u,
  ],
  ["phone", /(?:\+81|0)\d{1,4}[-‐ー–( ]?\d{1,4}[-‐ー–) ]?\d{3,4}/u],
  ["mail", /[\w.+-]+@[\w-]+\.[\w.]+/u],
];

/** Common words that look like a person's name with an honorific and are not. */
const NOT_NAMES =
  /(?:患者|皆|みな|親|子供|子ども|お子|お母|お父|母|父|兄|姉|弟|妹|奥|旦那|相談者|利用者|参加者|クライエント|クライアント|先生方|登壇者|司会|誰|皆々|お客|神|殿|同)(?:さん|様|さま)|赤ちゃん/gu;

/** What in a text might identify a person: a warning, never a refusal. */
export function privacyHints(text: string): PrivacyHint[] {
  const plain = text.normalize("NFKC").replace(NOT_NAMES, "");
  return HINTS.filter(([, pattern]) => pattern.test(plain)).map(([hint]) => hint);
}

export type Piece = { kind: "text"; text: string } | { kind: "link"; text: string; href: string };

/** Splits plain text into words and http(s) links; nothing else ever becomes markup. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let last = 0;
  for (const match of text.matchAll(/https?:\/\/[^\s<>"'」』）】、。]+/g)) {
    const link = match[0].replace(/[.,;:!?)]+$/, "");
    if (!URL.canParse(link)) continue;
    if (match.index > last) found.push({ kind: "text", text: text.slice(last, match.index) });
    found.push({ kind: "link", text: link, href: link });
    last = match.index + link.length;
  }
  if (last < text.length) found.push({ kind: "text", text: text.slice(last) });
  return found;
}
