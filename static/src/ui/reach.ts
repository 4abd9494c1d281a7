import { signal } from "@preact/signals";
import { checkLine, type Trials, verdict } from "../core/check.ts";
import { MediaRefusal } from "../core/media.ts";
import type { Reach } from "../core/wire.ts";
import { ports } from "./roommedia.ts";

const KEY = "madoi.reach";
/** How long a finding is believed, in milliseconds: networks change. */
const FRESH_MS = 600_000;

interface Found {
  session: string;
  at: number;
  reach: Reach;
  trials: Trials;
}

function remembered(): Found | null {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "null");
  } catch {
    return null;
  }
}

/** The last check's finding, kept for this browser. */
export const found = signal<Found | null>(remembered());
/** The check that is under way. */
export const underway = signal<Trials | null>(null);
/** Why the last check came to nothing, as a code. */
export const failed = signal<string | null>(null);

/** A finding for this session that is still believed. */
export function freshFinding(session: string): Found | null {
  const last = found.value;
  return last && last.session === session && Date.now() - last.at < FRESH_MS ? last : null;
}

/** Tries every way to the media port; asked while one is under way, it does nothing. */
export async function check(session: string, ticket: string | null): Promise<Reach | null> {
  if (underway.value) return null;
  failed.value = null;
  try {
    const trials = await checkLine(ports, session, ticket, (now) => {
      underway.value = now;
    });
    const reach = verdict(trials);
    found.value = { session, at: Date.now(), reach, trials };
    try {
      localStorage.setItem(KEY, JSON.stringify(found.value));
    } catch {
      // It holds for this page.
    }
    return reach;
  } catch (error) {
    failed.value = error instanceof MediaRefusal ? error.code : "offline";
    return null;
  } finally {
    underway.value = null;
  }
}
