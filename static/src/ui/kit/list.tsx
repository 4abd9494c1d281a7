import { ArrowDown } from "lucide-preact";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { text } from "../../i18n/index.ts";
import { Button } from "./button.tsx";

interface Props {
  /** Changes whenever something was added at the end; its growth counts what is new. */
  count: number;
  /** How many of them this person is just sending: writing brings the end into sight. */
  own?: number;
  children: ComponentChildren;
  label: string;
  /** The reader came near the beginning: bring older items. */
  onStart?: (() => void) | undefined;
  /** Whether the newest item is in sight. */
  onSeen?: ((atEnd: boolean) => void) | undefined;
  testid?: string;
}

/** A list that grows at its end and never moves what is being read: "3 new" brings the rest. */
export function AnchoredList({ count, own = 0, children, label, onStart, onSeen, testid }: Props) {
  const view = useRef<HTMLDivElement>(null);
  const end = useRef(true);
  const before = useRef({ count: 0, own: 0 });
  const anchor = useRef<{ item: Element; top: number } | null>(null);
  const known = useRef({ top: 0, height: 0 });
  const [fresh, setFresh] = useState(0);
  const toEnd = () => {
    const box = view.current;
    if (box) box.scrollTop = box.scrollHeight;
  };
  /** The reader may have scrolled just now: the browser tells it only before the next frame. */
  const look = (box: Element) => {
    const { top, height } = known.current;
    if (box.scrollTop !== top) end.current = height - box.scrollTop - box.clientHeight < 32;
  };
  const place = (item: Element) =>
    item.getBoundingClientRect().top - (view.current?.getBoundingClientRect().top ?? 0);
  /** Remembers the first item in sight, and where it stands. */
  const mark = () => {
    const items = [...(view.current?.querySelectorAll("li") ?? [])];
    const item = end.current ? undefined : items.find((each) => place(each) + each.clientHeight > 0);
    anchor.current = item ? { item, top: place(item) } : null;
    known.current = { top: view.current?.scrollTop ?? 0, height: view.current?.scrollHeight ?? 0 };
  };
  useLayoutEffect(() => {
    const box = view.current;
    if (!box) return;
    const grown = count - before.current.count;
    look(box);
    if (own > before.current.own) end.current = true;
    before.current = { count, own };
    if (end.current) toEnd();
    else {
      const held = anchor.current;
      const moved = held?.item.isConnected ? place(held.item) - held.top : 0;
      box.scrollTop += moved;
      if (grown > 0 && moved < 1) setFresh((n) => n + grown);
    }
    mark();
  });
  useLayoutEffect(() => {
    const box = view.current;
    if (!box) return;
    const watch = new ResizeObserver(() => {
      if (end.current) toEnd();
    });
    watch.observe(box);
    return () => watch.disconnect();
  }, []);
  return (
    <div class="scroller">
      <div
        class="view"
        role="log"
        aria-live="off"
        ref={view}
        tabIndex={0}
        aria-label={label}
        data-testid={testid}
        onScroll={(event) => {
          const box = event.currentTarget;
          end.current = box.scrollHeight - box.scrollTop - box.clientHeight < 32;
          if (end.current) setFresh(0);
          mark();
          onSeen?.(end.current);
          if (box.scrollTop < 40) onStart?.();
        }}
      >
        {children}
      </div>
      {fresh > 0 && (
        <Button
          class="more"
          variant="primary"
          size="small"
          icon={<ArrowDown aria-hidden="true" />}
          onClick={() => {
            end.current = true;
            setFresh(0);
            toEnd();
          }}
        >
          {text().common.fresh(fresh)}
        </Button>
      )}
    </div>
  );
}
