import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Button } from "./button.tsx";

export interface MenuItem {
  label: string;
  icon?: ComponentChildren;
  danger?: boolean;
  testid?: string;
  onChoose: () => void;
}

interface Props {
  label: string;
  icon: ComponentChildren;
  /** Words beside the icon, where there is room for them. */
  words?: string;
  items: readonly (MenuItem | null | false)[];
  up?: boolean;
  testid?: string;
}

/** A menu by the ARIA pattern: arrows move, Escape closes and gives the focus back. */
export function Menu({ label, icon, words, items, up, testid }: Props) {
  const [open, setOpen] = useState(false);
  const [place, setPlace] = useState<Record<string, string>>({});
  const root = useRef<HTMLDivElement>(null);
  const shown = items.filter((item): item is MenuItem => Boolean(item));
  const entries = () => [...(root.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
  useLayoutEffect(() => {
    if (!open) return;
    entries()[0]?.focus();
    const away = (event: PointerEvent) => {
      if (!(event.target instanceof Node && root.current?.contains(event.target))) setOpen(false);
    };
    document.addEventListener("pointerdown", away);
    return () => document.removeEventListener("pointerdown", away);
  }, [open]);
  /** Beside the button, above or below, over whatever scrolls. */
  const show = () => {
    const box = root.current?.getBoundingClientRect();
    if (box) {
      const right = `${Math.max(8, innerWidth - box.right)}px`;
      const above = up || box.top > innerHeight * 0.55;
      setPlace(
        above ? { right, bottom: `${innerHeight - box.top + 4}px` } : { right, top: `${box.bottom + 4}px` },
      );
    }
    setOpen(!open);
  };
  const close = () => {
    setOpen(false);
    root.current?.querySelector<HTMLElement>("button")?.focus();
  };
  const step = (by: number) => {
    const list = entries();
    const at = list.indexOf(document.activeElement as HTMLElement);
    list[(at + by + list.length) % list.length]?.focus();
  };
  if (shown.length === 0) return null;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys of its button and its entries
    <div
      class="menu"
      ref={root}
      onKeyDown={(event) => {
        if (!open) return;
        if (event.key === "Escape") {
          event.stopPropagation();
          close();
        } else if (event.key === "Tab") {
          setOpen(false);
        } else if (event.key === "Home" || event.key === "End") {
          event.preventDefault();
          entries()
            .at(event.key === "Home" ? 0 : -1)
            ?.focus();
        } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
          event.preventDefault();
          step(event.key === "ArrowDown" ? 1 : -1);
        }
      }}
    >
      <Button
        variant={words ? "secondary" : "quiet"}
        icon={icon}
        label={words ? undefined : label}
        expanded={open}
        testid={testid}
        onClick={show}
      >
        {words}
      </Button>
      {open && (
        <div class="items" style={place} role="menu" aria-label={label} tabIndex={-1}>
          {shown.map((item) => (
            <button
              type="button"
              role="menuitem"
              key={item.label}
              class={item.danger ? "danger" : ""}
              data-testid={item.testid}
              onClick={() => {
                close();
                item.onChoose();
              }}
            >
              {item.icon}
              {item.label}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
