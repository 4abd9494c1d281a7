import { SendHorizontal } from "lucide-preact";
import type { RefObject } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { begun, completed, suggestions } from "../core/mentions.ts";
import { length } from "../core/text.ts";
import { text } from "../i18n/index.ts";
import { Button } from "./kit/button.tsx";

interface Props {
  label: string;
  value: string;
  onInput: (value: string) => void;
  onSend: () => void;
  /** Leaves what was begun (a reply, an edit), if anything was. */
  onEscape?: () => void;
  placeholder: string;
  /** Most characters. */
  most?: number;
  /** Why sending cannot work now (writing always can). */
  blocked?: string | null;
  testid?: string;
  sendTestid?: string;
  area?: RefObject<HTMLTextAreaElement>;
  /** Who can be mentioned by @. */
  names?: readonly string[];
}

/** Where one writes: grows with its text, Enter sends, Shift+Enter breaks the line, an IME's Enter does neither. */
export function SendBox(props: Props) {
  const own = useRef<HTMLTextAreaElement>(null);
  const area = props.area ?? own;
  const most = props.most ?? 300;
  const over = length(props.value) - most;
  useLayoutEffect(() => {
    const box = area.current;
    if (!box) return;
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight + 2, 160)}px`;
  }, [props.value]);
  const mention = useMention(props, area);
  const blocked = props.blocked ?? (over > 0 ? text().chat.tooLong(over) : null);
  const send = () => {
    if (!blocked && props.value.trim()) props.onSend();
  };
  return (
    <form
      class="sendbox"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {mention.list}
      <textarea
        class="area"
        ref={area}
        rows={1}
        aria-label={props.label}
        aria-invalid={over > 0}
        placeholder={props.placeholder}
        value={props.value}
        data-testid={props.testid}
        {...mention.aria}
        onInput={(event) => {
          props.onInput(event.currentTarget.value);
          mention.look();
        }}
        onClick={mention.look}
        onBlur={mention.close}
        onKeyDown={(event) => {
          if (mention.key(event)) event.preventDefault();
          else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            send();
          } else if (event.key === "Escape" && !event.isComposing) props.onEscape?.();
        }}
      />
      <Button
        type="submit"
        variant="primary"
        icon={<SendHorizontal aria-hidden="true" />}
        label={text().common.send}
        blocked={blocked}
        testid={props.sendTestid}
      />
    </form>
  );
}

/** The list that an @ opens: arrows choose, Enter or Tab takes, Escape closes; a click takes, too. */
function useMention(props: Props, area: RefObject<HTMLTextAreaElement>) {
  const id = useId();
  const [caret, setCaret] = useState<number | null>(null);
  const [chosen, setChosen] = useState(0);
  const open = caret === null ? null : begun(props.value, caret);
  const found = open ? suggestions(props.names ?? [], open.typed) : [];
  const at = Math.min(chosen, found.length - 1);
  const close = () => setCaret(null);
  const look = () => {
    setCaret(area.current?.selectionStart ?? null);
    setChosen(0);
  };
  const take = (name: string) => {
    if (!open || caret === null) return;
    const done = completed(props.value, caret, open, name);
    props.onInput(done.text);
    close();
    requestAnimationFrame(() => area.current?.setSelectionRange(done.caret, done.caret));
  };
  const key = (event: KeyboardEvent): boolean => {
    if (found.length === 0 || event.isComposing) return false;
    if (event.key === "ArrowDown") setChosen((at + 1) % found.length);
    else if (event.key === "ArrowUp") setChosen((at + found.length - 1) % found.length);
    else if (event.key === "Enter" || event.key === "Tab") take(found[at] ?? "");
    else if (event.key === "Escape") close();
    else return false;
    event.stopPropagation();
    return true;
  };
  const list = found.length > 0 && (
    <div class="mentions" role="listbox" id={id} aria-label={text().chat.mention} data-testid="mentions">
      {found.map((name, i) => (
        <div
          key={name}
          role="option"
          id={`${id}-${i}`}
          tabIndex={-1}
          aria-selected={i === at}
          onPointerDown={(event) => {
            event.preventDefault();
            take(name);
          }}
        >
          {name}
        </div>
      ))}
    </div>
  );
  const aria =
    found.length > 0
      ? ({
          "aria-autocomplete": "list",
          "aria-controls": id,
          "aria-activedescendant": `${id}-${at}`,
        } as const)
      : {};
  return { list, aria, look, close, key };
}
