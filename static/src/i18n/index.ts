import { computed, signal } from "@preact/signals";
import { type Catalogue, en } from "./en.ts";
import { ja } from "./ja.ts";

export type Lang = "ja" | "en";
export type { Catalogue };

const KEY = "madoi.lang";

function remembered(): Lang {
  try {
    return localStorage.getItem(KEY) === "en" ? "en" : "ja";
  } catch {
    return "ja";
  }
}

/** The language of the page: 日本語 unless the person chose otherwise. */
export const lang = signal<Lang>(typeof localStorage === "undefined" ? "ja" : remembered());

const catalogue = computed<Catalogue>(() => (lang.value === "en" ? en : ja));

/** The sentences of the current language; reading it in a component follows the switch. */
export function text(): Catalogue {
  return catalogue.value;
}

export function setLang(next: Lang): void {
  lang.value = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // The choice holds for this page.
  }
}

/** The BCP 47 tag for `Intl`. */
export function locale(): string {
  return lang.value === "en" ? "en-GB" : "ja-JP";
}
