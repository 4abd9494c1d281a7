import { ArrowRight, EyeOff, Feather, ShieldCheck } from "lucide-preact";
import { useState } from "preact/hooks";
import { Problem } from "../core/api.ts";
import { text } from "../i18n/index.ts";
import { Mark, Page } from "./app.tsx";
import { problem } from "./format.ts";
import { Button } from "./kit/button.tsx";
import { TextField } from "./kit/field.tsx";
import { api, navigate, title } from "./page.ts";

const ICONS = [ShieldCheck, EyeOff, Feather];

/** The start page: two doors (invited, organising) and three promises. */
export function Start() {
  const t = text().start;
  title.value = null;
  return (
    <Page wide>
      <section class="hero">
        <Mark size={64} />
        <h1>{t.tagline}</h1>
        <p class="soft">{t.lead}</p>
      </section>
      <div class="two">
        <ByLink />
        <ByToken />
      </div>
      <section class="promises" aria-labelledby="promise">
        <h2 id="promise">{t.promise}</h2>
        <ul>
          {t.promises.map((promise, i) => {
            const Icon = ICONS[i] ?? Feather;
            return (
              <li key={promise}>
                <Icon size={22} aria-hidden="true" />
                <p>{promise}</p>
              </li>
            );
          })}
        </ul>
      </section>
    </Page>
  );
}

function ByLink() {
  const t = text().start;
  const [link, setLink] = useState("");
  const [bad, setBad] = useState(false);
  const go = () => {
    const found = /\/s\/([^#?\s/]+)\/?#t=(\S+)$/.exec(link.trim());
    if (!found) {
      setBad(true);
      return;
    }
    location.hash = "";
    history.pushState(null, "", `/s/${found[1]}#t=${found[2]}`);
    navigate(`/s/${found[1]}`);
  };
  return (
    <form
      class="card stack"
      onSubmit={(event) => {
        event.preventDefault();
        go();
      }}
    >
      <div>
        <h2>{t.haveLink}</h2>
        <p class="soft small">{t.haveLinkHint}</p>
      </div>
      <TextField
        label={t.link}
        value={link}
        placeholder="https://…/s/…#t=…"
        error={bad ? t.linkBad : null}
        testid="invitation"
        onInput={(value) => {
          setLink(value);
          setBad(false);
        }}
      />
      <Button type="submit" variant="primary" icon={<ArrowRight aria-hidden="true" />} testid="go">
        {t.go}
      </Button>
    </form>
  );
}

function ByToken() {
  const t = text().start;
  const [token, setToken] = useState("");
  const [error, setError] = useState<string | null>(null);
  const [pending, setPending] = useState(false);
  const enter = async () => {
    setPending(true);
    try {
      await api.organiserEnter(token.trim());
      navigate("/organise");
    } catch (failure) {
      setError(problem(failure instanceof Problem ? failure.code : "unknown"));
    } finally {
      setPending(false);
    }
  };
  return (
    <form
      class="card stack"
      onSubmit={(event) => {
        event.preventDefault();
        void enter();
      }}
    >
      <div>
        <h2>{t.organise}</h2>
        <p class="soft small">{t.organiseHint}</p>
      </div>
      <TextField label={t.token} value={token} error={error} onInput={setToken} testid="organiser-token" />
      <Button type="submit" pending={pending} testid="organiser-enter">
        {t.tokenGo}
      </Button>
    </form>
  );
}
