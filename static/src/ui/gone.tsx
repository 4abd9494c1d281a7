import { text } from "../i18n/index.ts";
import { Page } from "./app.tsx";
import { Button } from "./kit/button.tsx";
import { useVisit } from "./visit.ts";

const TAKEN_OVER = 4509;

/** The third honest state: not connected, and staying so; why, and what to do. */
export function Gone({ code }: { code: number }) {
  const visit = useVisit();
  const t = text().line;
  const words = t.close[code] ?? { title: t.otherTitle, words: t.otherWords };
  return (
    <Page>
      <section class="card stack gone" role="alert" data-testid="gone" data-code={code}>
        <h1>{words.title}</h1>
        <p>{words.words}</p>
        <div class="row wrap">
          {code === TAKEN_OVER ? (
            <Button variant="primary" testid="use-this-tab" onClick={() => visit.restart()}>
              {t.useThis}
            </Button>
          ) : (
            <Button onClick={() => location.reload()}>{t.reload}</Button>
          )}
        </div>
      </section>
    </Page>
  );
}
