import { Languages, MonitorCog, Moon, Sun } from "lucide-preact";
import type { ComponentChildren } from "preact";
import { lang, setLang, text } from "../i18n/index.ts";
import { Button } from "./kit/button.tsx";
import { Toasts } from "./kit/toast.tsx";
import { Organise } from "./organise.tsx";
import { OrganiseSession } from "./organise-session.tsx";
import { path, setTheme, type Theme, theme } from "./page.ts";
import { SessionPage } from "./session-page.tsx";
import { Start } from "./start.tsx";

/** The circle with one seat open. */
export function Mark({ size = 28 }: { size?: number }) {
  return (
    <svg class="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <circle class="ring" cx="16" cy="16" r="10.5" transform="rotate(-60 16 16)" />
      <circle class="seat" cx="16" cy="5.6" r="3" />
    </svg>
  );
}

const NEXT_THEME: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };

/** Language and colours, on every page. */
export function Preferences() {
  const t = text();
  const icon = {
    auto: <MonitorCog aria-hidden="true" />,
    light: <Sun aria-hidden="true" />,
    dark: <Moon aria-hidden="true" />,
  }[theme.value];
  return (
    <div class="row tight">
      <Button
        variant="quiet"
        size="small"
        icon={icon}
        label={t.common.pair(t.common.themeLabel, t.common.theme[theme.value])}
        testid="theme"
        onClick={() => setTheme(NEXT_THEME[theme.value])}
      />
      <Button
        variant="quiet"
        size="small"
        icon={<Languages aria-hidden="true" />}
        testid="language"
        onClick={() => setLang(lang.value === "ja" ? "en" : "ja")}
      >
        <span lang={lang.value === "ja" ? "en" : "ja"}>{t.common.language}</span>
      </Button>
    </div>
  );
}

/** A page outside of a session: mark, preferences, one column. */
export function Page({ children, wide }: { children: ComponentChildren; wide?: boolean }) {
  const t = text();
  return (
    <div class="page">
      <a class="skip" href="#main">
        {t.common.skip}
      </a>
      <header class="page-head">
        <a class="brand" href="/">
          <Mark />
          <span>{t.name}</span>
        </a>
        <Preferences />
      </header>
      <main id="main" class={wide ? "page-main wide" : "page-main"} tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}

/** Which screen belongs to where the page is. */
export function App() {
  const [, first, id] = path.value.split("/");
  let screen = <Start />;
  if (first === "organise" && id) screen = <OrganiseSession id={decodeURIComponent(id)} key={id} />;
  else if (first === "organise") screen = <Organise />;
  else if (first === "s" && id) screen = <SessionPage id={decodeURIComponent(id)} key={id} />;
  return (
    <>
      {screen}
      <Toasts />
    </>
  );
}
