import { effect, signal } from "@preact/signals";
import { Api } from "../core/api.ts";
import { lang, text } from "../i18n/index.ts";

export type Theme = "auto" | "light" | "dark";

const THEME_KEY = "madoi.theme";

/** The JSON API of this page's own server. */
export const api = new Api((input, init) => fetch(input, init));

/** Where the page is. */
export const path = signal(location.pathname);

export function navigate(to: string): void {
  if (to !== location.pathname) history.pushState(null, "", to);
  path.value = to;
  scrollTo(0, 0);
}

addEventListener("popstate", () => {
  path.value = location.pathname;
});

/** The one-second tick that countdowns follow. */
export const tick = signal(Date.now());
setInterval(() => {
  tick.value = Date.now();
}, 1000);

function rememberedTheme(): Theme {
  try {
    const kept = localStorage.getItem(THEME_KEY);
    return kept === "light" || kept === "dark" ? kept : "auto";
  } catch {
    return "auto";
  }
}

export const theme = signal<Theme>(rememberedTheme());
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(prefersDark.matches);
prefersDark.addEventListener("change", (event) => {
  systemDark.value = event.matches;
});

const phone = matchMedia("(max-width: 860px)");
/** Whether the page is one column. */
export const narrow = signal(phone.matches);
phone.addEventListener("change", (event) => {
  narrow.value = event.matches;
});

export function setTheme(next: Theme): void {
  theme.value = next;
  try {
    localStorage.setItem(THEME_KEY, next);
  } catch {
    // The choice holds for this page.
  }
}

effect(() => {
  const dark = theme.value === "dark" || (theme.value === "auto" && systemDark.value);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
});

/** The page's title, by whatever screen is shown. */
export const title = signal<string | null>(null);
effect(() => {
  document.documentElement.lang = lang.value;
  document.title = title.value ? `${title.value} · ${text().name}` : `円居 Madoi`;
});

/** Takes a secret out of the address bar (and its history) and returns it. */
export function takeFragment(name: string): string | null {
  const found = new URLSearchParams(location.hash.slice(1)).get(name);
  if (found !== null) history.replaceState(null, "", location.pathname + location.search);
  return found;
}
