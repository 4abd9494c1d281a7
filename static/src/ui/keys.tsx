import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { text } from "../i18n/index.ts";
import { Dialog } from "./kit/dialog.tsx";
import { Switch } from "./kit/field.tsx";

const KEY = "madoi.keys";

function remembered(): boolean {
  try {
    return localStorage.getItem(KEY) !== "off";
  } catch {
    return true;
  }
}

/** Whether single keys do something; some people's tools type letters where they did not mean to. */
export const singleKeys = signal(remembered());
/** Whether the list of shortcuts is open. */
export const keysShown = signal(false);

function typing(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || target.matches("textarea, select, input:not([type=checkbox], [type=radio])"))
  );
}

/** Single-key shortcuts while this component is on the page: never while typing, under a dialog or a modifier. */
export function useShortcuts(keys: Record<string, () => void>): void {
  const latest = useRef(keys);
  latest.current = keys;
  // Before the first paint: whoever sees the page can press a key.
  useLayoutEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing)
        return;
      if (typing(event.target) || document.querySelector("dialog[open]")) return;
      if (!singleKeys.value && event.key !== "?") return;
      const act = latest.current[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

/** The list of shortcuts, by `?`. */
export function KeysDialog({ staff, stage }: { staff: boolean; stage: boolean }) {
  const t = text().keys;
  const rows: [string, string][] = [
    ["?", t.help],
    ["c", t.chat],
    ["s", t.questions],
    ["t", t.polls],
    ["p", t.people],
    ...(staff || stage
      ? []
      : ([
          ["q", t.ask],
          ["h", t.hand],
          ["n", t.nod],
        ] as [string, string][])),
    ...(stage
      ? ([
          ["m", t.mic],
          ["v", t.camera],
        ] as [string, string][])
      : []),
    ...(staff
      ? ([
          ["j", t.next],
          ["k", t.previous],
          ["a", t.approve],
          ["n", t.queue],
          ["l", t.take],
          ["r", t.answered],
          ["d", t.decline],
        ] as [string, string][])
      : []),
    ["Esc", t.escape],
  ];
  return (
    <Dialog
      title={t.title}
      testid="keys-dialog"
      onClose={() => {
        keysShown.value = false;
      }}
    >
      <dl class="keys">
        {rows.map(([key, words]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{words}</dd>
          </div>
        ))}
      </dl>
      <Switch
        testid="single-keys"
        label={t.on}
        checked={singleKeys.value}
        onChange={(on) => {
          singleKeys.value = on;
          try {
            localStorage.setItem(KEY, on ? "on" : "off");
          } catch {
            // The choice holds for this page.
          }
        }}
      />
    </Dialog>
  );
}
