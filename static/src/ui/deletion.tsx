import { Trash2 } from "lucide-preact";
import { useState } from "preact/hooks";
import { text } from "../i18n/index.ts";
import { Page } from "./app.tsx";
import { Button } from "./kit/button.tsx";
import { Confirm } from "./kit/dialog.tsx";
import { useVisit } from "./visit.ts";

/** Asks once more, then has everything deleted that one wrote here. */
export function DeletionDialog({ onClose }: { onClose: () => void }) {
  const visit = useVisit();
  const t = text().deletion;
  return (
    <Confirm
      title={t.title}
      words={t.words}
      yes={t.yes}
      danger
      testid="delete-dialog"
      onYes={() => void visit.deleteMine()}
      onClose={onClose}
    />
  );
}

export function DeletionButton() {
  const [asking, setAsking] = useState(false);
  return (
    <>
      <div>
        <Button testid="delete-mine" icon={<Trash2 aria-hidden="true" />} onClick={() => setAsking(true)}>
          {text().deletion.button}
        </Button>
      </div>
      {asking && <DeletionDialog onClose={() => setAsking(false)} />}
    </>
  );
}

/** Nothing of ours is left here. */
export function Deleted() {
  const t = text();
  return (
    <Page>
      <section class="card stack" role="status" data-testid="deleted">
        <h1>{t.deletion.doneTitle}</h1>
        <p>{t.deletion.doneWords}</p>
        <p>
          <a href="/">{t.after.home}</a>
        </p>
      </section>
    </Page>
  );
}
