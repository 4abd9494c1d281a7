import { signal } from "@preact/signals";
import { TIERS, type Tier } from "../core/media.ts";

const KEY = "madoi.tier";

function remembered(): Tier {
  try {
    const kept = localStorage.getItem(KEY);
    return TIERS.find((each) => each === kept) ?? "video";
  } catch {
    return "video";
  }
}

/** How much of the stage this device wants to receive, kept for next time. */
export const tier = signal<Tier>(remembered());

export function rememberTier(wanted: Tier): void {
  tier.value = wanted;
  try {
    localStorage.setItem(KEY, wanted);
  } catch {
    // The choice holds for this page.
  }
}
