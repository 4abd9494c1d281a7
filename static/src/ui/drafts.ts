import { useState } from "preact/hooks";
import { useVisit } from "./visit.ts";

/** Text being written: kept through reconnects, reloads and tab switches. */
export function useDraft(name: string): [string, (value: string) => void] {
  const visit = useVisit();
  const key = `madoi.draft.${visit.id}.${name}`;
  const [value, setValue] = useState(() => sessionStorage.getItem(key) ?? "");
  const set = (next: string) => {
    setValue(next);
    try {
      if (next) sessionStorage.setItem(key, next);
      else sessionStorage.removeItem(key);
    } catch {
      // A full store costs only the copy.
    }
  };
  return [value, set];
}
