import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { text } from "../../i18n/index.ts";

export interface Tab<K extends string> {
  key: K;
  label: string;
  /** Something unread: shown as a dot, said as a word. */
  unread?: boolean;
  count?: number;
}

interface Props<K extends string> {
  label: string;
  tabs: readonly Tab<K>[];
  value: K;
  onChange: (key: K) => void;
  children: ComponentChildren;
  class?: string;
}

/** Tabs by the ARIA pattern: arrow keys move, one tab stop; the panel belongs to the chosen tab. */
export function Tabs<K extends string>({ label, tabs, value, onChange, children, class: name }: Props<K>) {
  const id = useId();
  const move = (step: number) => {
    const at = tabs.findIndex((tab) => tab.key === value);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    if (!next) return;
    onChange(next.key);
    document.getElementById(`${id}-${next.key}`)?.focus();
  };
  return (
    <div class={`tabbed ${name ?? ""}`}>
      <div class="tabs" role="tablist" aria-label={label}>
        {tabs.map((tab) => (
          <button
            type="button"
            key={tab.key}
            id={`${id}-${tab.key}`}
            class="tab"
            role="tab"
            aria-selected={tab.key === value}
            aria-controls={`${id}-panel`}
            tabIndex={tab.key === value ? 0 : -1}
            data-testid={`tab-${tab.key}`}
            onClick={() => onChange(tab.key)}
            onKeyDown={(event) => {
              if (event.key === "ArrowRight") move(1);
              else if (event.key === "ArrowLeft") move(-1);
            }}
          >
            {tab.label}
            {tab.count !== undefined && tab.count > 0 && <span class="small soft num">{tab.count}</span>}
            {tab.unread && (
              <>
                <span class="dot" aria-hidden="true" />
                <span class="sr">{text().common.unread}</span>
              </>
            )}
          </button>
        ))}
      </div>
      <div class="panel" role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${value}`}>
        {children}
      </div>
    </div>
  );
}
