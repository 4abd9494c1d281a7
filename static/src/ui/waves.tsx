import { HeartHandshake, Lightbulb, MessageCircleQuestion, Scale, Users } from "lucide-preact";
import type { ComponentChildren } from "preact";
import type { SignalKind } from "../core/wire.ts";
import { text } from "../i18n/index.ts";
import { count } from "./format.ts";
import { Nod } from "./nod.tsx";
import { useVisit } from "./visit.ts";

/** The five quiet signals beside the nod. */
export const QUIET: { kind: SignalKind; icon: typeof Users }[] = [
  { kind: "empathy", icon: HeartHandshake },
  { kind: "insight", icon: Lightbulb },
  { kind: "more", icon: MessageCircleQuestion },
  { kind: "unease", icon: Scale },
  { kind: "same_here", icon: Users },
];

/** The signals of the last seconds, for those who see nobody's face: only what five or more have sent. */
export function Waves() {
  const visit = useVisit();
  const t = text().signals;
  const waves = visit.view.value?.signals.waves ?? {};
  const all: { kind: SignalKind; icon: ComponentChildren }[] = [
    { kind: "nod", icon: <Nod size={16} /> },
    ...QUIET.map(({ kind, icon: Icon }) => ({ kind, icon: <Icon size={16} aria-hidden="true" /> })),
  ];
  return (
    <ul class="waves" aria-label={t.label} data-testid="waves">
      {all
        .filter(({ kind }) => waves[kind] !== undefined)
        .map(({ kind, icon }) => (
          <li key={kind} class="wave small" data-kind={kind} title={t[kind]}>
            {icon}
            <span>{t[kind]}</span> <span class="num strong">{count(waves[kind] ?? 0)}</span>
          </li>
        ))}
    </ul>
  );
}
