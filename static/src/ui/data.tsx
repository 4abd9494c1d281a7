import { Gauge } from "lucide-preact";
import { TIERS } from "../core/media.ts";
import { text } from "../i18n/index.ts";
import { Button } from "./kit/button.tsx";
import { Dialog } from "./kit/dialog.tsx";
import { Choices } from "./kit/field.tsx";
import { tier } from "./tier.ts";
import { useVisit } from "./visit.ts";

/** How much of the stage shall come to this device. */
export function DataChoice({ titled }: { titled?: boolean }) {
  const visit = useVisit();
  const t = text().data;
  return (
    <Choices
      legend={t.title}
      titled={titled}
      value={tier.value}
      options={TIERS.map((value) => ({ value, ...t.tiers[value] }))}
      testid="tier"
      onChange={(value) => void visit.media.choose(value)}
    />
  );
}

export function DataDialog({ onClose }: { onClose: () => void }) {
  const t = text().data;
  return (
    <Dialog title={t.title} onClose={onClose} testid="data-dialog">
      <DataChoice titled />
      <p class="small soft">{t.hint}</p>
    </Dialog>
  );
}

/** Says over the stage what was left out by choice, and brings it back. */
export function DataNote() {
  const visit = useVisit();
  const t = text().data;
  const wanted = tier.value;
  const settling = visit.media.watching.value === "connected" && visit.media.inForce.value !== wanted;
  if (wanted === "video" && !settling) return null;
  return (
    <div class="stage-note data-note" data-testid="data-note" data-tier={wanted} role="status">
      <Gauge size={16} aria-hidden="true" />
      <span>{settling ? t.settling : t.notes[wanted]}</span>
      {wanted !== "video" && (
        <Button size="small" testid="tier-back" onClick={() => void visit.media.choose("video")}>
          {t.back}
        </Button>
      )}
    </div>
  );
}
