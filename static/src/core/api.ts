/** A documented error of the HTTP API (RFC 9457): the page words it by `code`. */
export class Problem extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
    readonly wait: number | null = null,
  ) {
    super(`${status} ${code}`);
  }
}

export type SessionState = "draft" | "published" | "doors" | "backstage" | "live" | "after" | "closed";
export type Kind = "lecture" | "case" | "networking" | "reading";
export type Anonymity = "named" | "anonymous" | "full";
export type RoleName = "organiser" | "moderator" | "speaker" | "presenter" | "attendee";
export type Links = Partial<Record<"organiser" | "moderator" | "speaker" | "attendee", string>>;

/** What anybody may know about a session; the organiser also gets links and counts. */
export interface SessionFacts {
  id: string;
  title: string;
  kind: Kind;
  state: SessionState;
  starts_at: string | number | null;
  capacity: number;
  qa: { moderated: boolean; anonymity: Anonymity };
  door?: "knock" | "open";
  name_policy?: string;
  retention?: string;
  timezone?: string;
  links?: Links;
  counts?: Record<string, number>;
}

export interface NewSession {
  title: string;
  kind: Kind;
  starts_at?: string;
  capacity: number;
  qa: { moderated: boolean; anonymity: Anonymity };
  door: "knock" | "open";
}

export interface NewTicket {
  role: RoleName;
  name: string;
  profession?: string;
  /** Somebody who has a ticket: the new one is for a further device of theirs. */
  person?: string;
}

/** Who the server says we are in a session. */
export interface Me {
  person: string;
  role: RoleName;
  name: string;
}

/** How one publishing person's line is doing, as the server measures it. */
export interface PublisherLine {
  person: string;
  quality: number;
  transport: "udp" | "tcp" | null;
  /** Milliseconds. */
  round_trip: number | null;
  /** Bits per second; lost 0–1; jitter in milliseconds. */
  streams: {
    source: "camera" | "microphone" | "screen";
    layer: string | null;
    bitrate: number;
    loss: number;
    jitter: number;
  }[];
}

type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

/** The JSON API, one method per route. Every failure is a `Problem`; no network is `offline`. */
export class Api {
  constructor(private readonly fetch: Fetch) {}

  organiserEnter(token: string): Promise<void> {
    return this.#ask("POST", "/api/organiser/enter", { token });
  }

  async sessions(): Promise<SessionFacts[]> {
    const body = await this.#ask<{ sessions: SessionFacts[] }>("GET", "/api/sessions");
    return body.sessions;
  }

  session(id: string): Promise<SessionFacts> {
    return this.#ask("GET", `/api/sessions/${encodeURIComponent(id)}`);
  }

  create(session: NewSession): Promise<{ id: string; links: Links }> {
    return this.#ask("POST", "/api/sessions", session);
  }

  ticket(id: string, ticket: NewTicket): Promise<{ ticket: string; link: string; person: string }> {
    return this.#ask("POST", `/api/sessions/${encodeURIComponent(id)}/tickets`, ticket);
  }

  async lines(id: string): Promise<PublisherLine[]> {
    const body = await this.#ask<{ lines: PublisherLine[] }>(
      "GET",
      `/api/sessions/${encodeURIComponent(id)}/lines`,
    );
    return body.lines;
  }

  state(id: string, state: SessionState): Promise<unknown> {
    return this.#ask("POST", `/api/sessions/${encodeURIComponent(id)}/state`, { state });
  }

  enter(id: string, who: { ticket: string; name?: string; profession?: string }): Promise<Me> {
    return this.#ask("POST", `/api/sessions/${encodeURIComponent(id)}/enter`, who);
  }

  me(id: string): Promise<Me> {
    return this.#ask("GET", `/api/sessions/${encodeURIComponent(id)}/me`);
  }

  /** Deletes what we have written in a session, and our name; the seat goes with it. */
  forgetMe(id: string): Promise<void> {
    return this.#ask("DELETE", `/api/sessions/${encodeURIComponent(id)}/me`);
  }

  leave(id: string): Promise<void> {
    return this.#ask("POST", `/api/sessions/${encodeURIComponent(id)}/leave`);
  }

  async socketTicket(id: string): Promise<string> {
    const body = await this.#ask<{ ticket: string }>(
      "POST",
      `/api/sessions/${encodeURIComponent(id)}/socket-ticket`,
    );
    return body.ticket;
  }

  async #ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    let answer: Response;
    try {
      answer = await this.fetch(path, {
        method,
        credentials: "same-origin",
        headers: body === undefined ? {} : { "Content-Type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch {
      throw new Problem("offline", 0);
    }
    if (answer.status === 204) return undefined as T;
    const content: unknown = await answer.json().catch(() => null);
    if (!answer.ok) {
      const problem = (content ?? {}) as { code?: string; wait?: number };
      throw new Problem(problem.code ?? "unknown", answer.status, problem.wait ?? null);
    }
    return content as T;
  }
}
