import { useEffect, useState } from "preact/hooks";
import { Level } from "../core/wire.ts";
import { text } from "../i18n/index.ts";
import { After } from "./after.tsx";
import { Page } from "./app.tsx";
import { Deleted } from "./deletion.tsx";
import { Door } from "./door.tsx";
import { Gone } from "./gone.tsx";
import { Skeleton } from "./kit/bits.tsx";
import { takeFragment, title } from "./page.ts";
import { Room } from "./room.tsx";
import { useVisit, Visit, VisitContext } from "./visit.ts";
import { Waiting } from "./waiting.tsx";

/** A session, from the door to the goodbye. */
export function SessionPage({ id }: { id: string }) {
  const [visit] = useState(() => new Visit(id));
  useEffect(() => {
    void visit.begin(takeFragment("t"));
    const wake = () => {
      if (document.visibilityState === "visible") visit.wake();
    };
    const again = () => {
      const ticket = takeFragment("t");
      if (ticket) location.reload();
    };
    addEventListener("online", wake);
    addEventListener("hashchange", again);
    document.addEventListener("visibilitychange", wake);
    return () => {
      removeEventListener("online", wake);
      removeEventListener("hashchange", again);
      document.removeEventListener("visibilitychange", wake);
    };
  }, []);
  return (
    <VisitContext.Provider value={visit}>
      <Screen />
    </VisitContext.Provider>
  );
}

/** Which screen belongs to where the visit stands. */
function Screen() {
  const visit = useVisit();
  const t = text();
  const view = visit.view.value;
  title.value = visit.room.value.session.settings?.title ?? visit.facts.value?.title ?? null;
  switch (visit.phase.value) {
    case "loading":
      return (
        <Page>
          <Skeleton label={t.common.loading} lines={6} />
        </Page>
      );
    case "missing":
      return (
        <Page>
          <section class="card stack gone" role="alert" data-testid="missing">
            <h1>{t.door.gone}</h1>
            <p>{t.door.goneWords}</p>
            <p>
              <a href="/">{t.after.home}</a>
            </p>
          </section>
        </Page>
      );
    case "door":
      return <Door />;
    case "deleted":
      return <Deleted />;
    default:
      break;
  }
  if (view?.line.kind === "gone" && !(view.line.code === 4510 && view.ready))
    return <Gone code={view.line.code} />;
  if (!view?.you || !view.ready) {
    return (
      <Page>
        <Skeleton label={t.line.connecting} lines={6} />
      </Page>
    );
  }
  if (visit.level.value === Level.EVERYONE) return <Waiting />;
  const over = visit.state.value === "after" || visit.state.value === "closed";
  if (over && !visit.isStaff.value) return <After />;
  return <Room />;
}
