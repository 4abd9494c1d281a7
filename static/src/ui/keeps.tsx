import { Archive, DoorOpen, EyeOff, Hand, ListChecks, ShieldCheck, VideoOff, Waves } from "lucide-preact";
import type { ComponentChildren } from "preact";
import { text } from "../i18n/index.ts";

/** What of a session's settings the guarantees are made from. */
export interface Keeping {
  recording?: boolean | undefined;
  retention?: string | undefined;
  door?: "knock" | "open" | undefined;
  qa: { moderated: boolean; anonymity: "named" | "anonymous" | "full" };
}

/** 「この会の守り方」: every guarantee in words, generated from the settings. */
export function Keeps({ of, heading = true }: { of: Keeping; heading?: boolean }) {
  const t = text().keeps;
  const retention =
    of.retention && of.retention in t.retention ? (of.retention as "A" | "B" | "C" | "D") : null;
  const lines: [string, ComponentChildren, string][] = [
    ["recording", <VideoOff key="i" />, of.recording ? t.recordingOn : t.recording],
    ["anonymity", <EyeOff key="i" />, t.anonymity[of.qa.anonymity]],
    ["moderated", <ListChecks key="i" />, of.qa.moderated ? t.moderated : t.unmoderated],
    ["camera", <Hand key="i" />, t.camera],
    ["backstage", <ShieldCheck key="i" />, t.backstage],
    ["signals", <Waves key="i" />, t.signals],
  ];
  if (of.door) lines.push(["door", <DoorOpen key="i" />, t.door[of.door]]);
  if (retention) lines.push(["retention", <Archive key="i" />, t.retention[retention]]);
  return (
    <section class="keeps" data-testid="keeps">
      {heading && <h2>{t.title}</h2>}
      <ul>
        {lines.map(([key, icon, words]) => (
          <li key={key}>
            <span class="keeps-icon" aria-hidden="true">
              {icon}
            </span>
            <span>{words}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
