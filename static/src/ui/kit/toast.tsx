import { signal } from "@preact/signals";
import { X } from "lucide-preact";
import { text } from "../../i18n/index.ts";
import { Button } from "./button.tsx";

interface Toast {
  id: number;
  words: string;
}

const SHOWN_MS = 6_000;
const toasts = signal<Toast[]>([]);
let count = 0;

/** Says one sentence at the foot of the page, for eyes and for screen readers. */
export function say(words: string): void {
  if (toasts.value.some((toast) => toast.words === words)) return;
  count += 1;
  const id = count;
  toasts.value = [...toasts.value.slice(-2), { id, words }];
  setTimeout(() => hush(id), SHOWN_MS);
}

function hush(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite" data-testid="toasts">
      {toasts.value.map((toast) => (
        <div class="toast" key={toast.id}>
          <span class="grow">{toast.words}</span>
          <Button
            variant="quiet"
            size="small"
            icon={<X aria-hidden="true" />}
            label={text().common.close}
            onClick={() => hush(toast.id)}
          />
        </div>
      ))}
    </div>
  );
}
