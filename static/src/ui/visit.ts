import { computed, signal } from "@preact/signals";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { type Me, Problem, type SessionFacts } from "../core/api.ts";
import { Client, type View } from "../core/client.ts";
import type { Item, Outcome } from "../core/outbox.ts";
import { emptyRoom, type Room } from "../core/room.ts";
import { Unwelcome, type Wire } from "../core/socket.ts";
import {
  type AnyCommand,
  type Card,
  CLOSE,
  Level,
  type Reach,
  type Role,
  type StageView,
  SUBPROTOCOL,
} from "../core/wire.ts";
import { text } from "../i18n/index.ts";
import { problem, refusal } from "./format.ts";
import { say } from "./kit/toast.tsx";
import { api, tick } from "./page.ts";
import { check, freshFinding } from "./reach.ts";
import { RoomMedia } from "./roommedia.ts";

export type Phase = "loading" | "missing" | "door" | "inside" | "deleted";

const STAFF: readonly Role[] = ["organiser", "moderator"];
const EXPERTS: readonly Role[] = ["speaker", "presenter"];

function screenOf(stage: StageView | undefined): string {
  return Object.values(stage?.slots ?? {}).find((slot) => slot.source === "screen")?.person ?? "";
}

/** One person's visit to one session: from the door to the goodbye. */
export class Visit {
  readonly facts = signal<SessionFacts | null>(null);
  readonly phase = signal<Phase>("loading");
  readonly me = signal<Me | null>(null);
  readonly view = signal<View | null>(null);
  readonly items = signal<readonly Item<AnyCommand>[]>([]);
  /** Why the door stays shut, as a problem's code. */
  readonly trouble = signal<string | null>(null);
  readonly media: RoomMedia;
  #client: Client | null = null;
  /** What the staff were told last of how media reaches us. */
  #told: Reach | null = null;
  #hello: string | null = null;

  readonly room = computed<Room>(() => this.view.value?.room ?? emptyRoom);
  readonly role = computed<Role>(() => this.view.value?.you?.role ?? this.me.value?.role ?? "attendee");
  readonly level = computed(() => this.view.value?.you?.level ?? Level.EVERYONE);
  readonly myId = computed(() => this.view.value?.you?.id ?? this.me.value?.person ?? "");
  readonly isStaff = computed(() => STAFF.includes(this.role.value));
  readonly isExpert = computed(() => EXPERTS.includes(this.role.value));
  readonly state = computed(() => this.room.value.session.state);
  readonly connected = computed(() => this.view.value?.line.kind === "connected");
  /** Why nothing can be asked now, or null. */
  readonly blocked = computed(() => (this.connected.value ? null : text().line.blocked));
  /** The server's time, once a second. */
  readonly now = computed(() => tick.value + (this.view.value?.skew ?? 0));
  /** Whose screen everybody sees; empty when nobody's. */
  readonly screenOf = computed(() => screenOf(this.view.value?.stage));
  readonly mayPublish = computed(() => {
    const hand = this.room.value.mine.hand?.state;
    return this.isExpert.value || this.isStaff.value || hand === "checking" || hand === "on_stage";
  });

  constructor(readonly id: string) {
    this.media = new RoomMedia(id, (reach) => this.#tellReach(reach));
  }

  /** Learns what session this is and whether we are already somebody in it. */
  async begin(ticket: string | null): Promise<void> {
    const key = `madoi.ticket.${this.id}`;
    if (ticket !== null) sessionStorage.setItem(key, ticket);
    this.#hello = sessionStorage.getItem(key);
    try {
      this.facts.value = await api.session(this.id);
    } catch (error) {
      this.phase.value = error instanceof Problem && error.status === 404 ? "missing" : "door";
      if (this.phase.value === "missing") return;
    }
    const inside = sessionStorage.getItem(`madoi.inside.${this.id}`);
    if (ticket === null || inside === ticket) {
      try {
        this.me.value = await api.me(this.id);
      } catch {
        this.me.value = null;
      }
    }
    if (this.me.value && inside !== null) {
      this.#open();
      return;
    }
    if (!this.me.value && this.#hello !== null) await this.#introduce(this.#hello);
    this.phase.value = "door";
  }

  /** A personal ticket knows whose it is; a shared link asks for a name, which is no error yet. */
  async #introduce(ticket: string): Promise<void> {
    try {
      this.me.value = await api.enter(this.id, { ticket });
    } catch (error) {
      if (error instanceof Problem && error.code !== "name_required") this.trouble.value = error.code;
    }
  }

  get hasTicket(): boolean {
    return this.#hello !== null || this.me.value !== null;
  }

  /** Steps through the door. Rejects with a `Problem` when the server says no. */
  async enter(name: string, profession: string): Promise<void> {
    if (this.#hello !== null && this.me.value?.name !== name) {
      this.me.value = await api.enter(this.id, {
        ticket: this.#hello,
        ...(name ? { name } : {}),
        ...(profession ? { profession } : {}),
      });
    }
    sessionStorage.setItem(`madoi.inside.${this.id}`, this.#hello ?? "");
    this.#open();
  }

  /** Asks for something; a refusal that leaves no trace on the page is said as a sentence. */
  async ask(cmd: AnyCommand): Promise<Outcome> {
    const outcome = (await this.#client?.ask(cmd)) ?? { ok: false, why: "ended" };
    const kept = this.items.value.some((item) => item.cmd === cmd);
    if (!outcome.ok && outcome.why !== "discarded" && !kept) say(this.#sentence(outcome));
    return outcome;
  }

  /** How media reaches us, if a check found it of late. */
  knownReach(): Reach | null {
    return freshFinding(this.id)?.reach ?? null;
  }

  /** Tries every way to the media port, and tells the staff what was found. */
  async checkLine(): Promise<void> {
    const ticket = this.me.value === null ? this.#hello : null;
    const reach = await check(this.id, ticket);
    if (reach !== null) this.#tellReach(reach);
  }

  /** A fact for the staff; said once per change, and again after a return. */
  #tellReach(reach: Reach): void {
    if (this.#told === reach || !this.connected.value) return;
    this.#told = reach;
    void this.#client?.ask({ t: "tell_reach", reach }).then((outcome) => {
      if (!outcome.ok) this.#told = null;
    });
  }

  resend(nonce: string, cmd?: AnyCommand): void {
    this.#client?.resend(nonce, cmd);
  }

  discard(nonce: string): void {
    this.#client?.outbox.discard(nonce);
  }

  signal(kind: Parameters<Client["signal"]>[0]): boolean {
    return this.#client?.signal(kind) ?? false;
  }

  typing(): void {
    this.#client?.typing();
  }

  older(channel: Parameters<Client["older"]>[0]): void {
    void this.#client?.older(channel);
  }

  wake(): void {
    this.#client?.wake();
    this.media.wake();
  }

  /** Takes the seat back from another tab. */
  restart(): void {
    this.#client?.start();
  }

  /** Leaves on purpose. */
  async leave(): Promise<void> {
    const said = this.#client?.ask({ t: "leave" });
    const patience = new Promise((enough) => setTimeout(enough, this.connected.value ? 3000 : 0));
    await Promise.race([said, patience]);
    this.close();
    sessionStorage.removeItem(`madoi.inside.${this.id}`);
    await api.leave(this.id).catch(() => undefined);
    this.me.value = null;
    this.view.value = null;
    this.#told = null;
    this.phase.value = "door";
  }

  /** Has everything deleted that we wrote here; the visit ends with it, or goes on if that failed. */
  async deleteMine(): Promise<void> {
    this.close(); // before the server closes the socket, which would look like a removal
    try {
      await api.forgetMe(this.id);
    } catch (error) {
      say(problem(error instanceof Problem ? error.code : "unknown"));
      this.#open();
      return;
    }
    sessionStorage.removeItem(`madoi.inside.${this.id}`);
    sessionStorage.removeItem(`madoi.ticket.${this.id}`);
    this.#hello = null;
    this.me.value = null;
    this.view.value = null;
    this.phase.value = "deleted";
  }

  close(): void {
    this.#client?.outbox.clear();
    this.#client?.stop();
    this.#client = null;
    this.media.close();
  }

  /** Who a person is, as far as we may know. */
  card(person: string): Card {
    const known = this.room.value.cards[person];
    if (known) return known;
    const me = this.me.value;
    if (me && me.person === person) return { id: person, name: me.name, role: me.role };
    return { id: person, name: text().common.someone, role: this.room.value.inside[person] ?? "attendee" };
  }

  #sentence(outcome: Outcome): string {
    const t = text();
    if (outcome.why === "conflict" && outcome.by) return t.board.conflict(this.card(outcome.by).name);
    return refusal(outcome.why);
  }

  #open(): void {
    const client = new Client(
      {
        open: () => {
          const scheme = location.protocol === "https:" ? "wss" : "ws";
          return new WebSocket(`${scheme}://${location.host}/rooms/${this.id}/socket`, SUBPROTOCOL) as Wire;
        },
        ticket: () => this.#socketTicket(),
        now: () => Date.now(),
        dice: Math.random,
        later: (ms, run) => {
          const timer = setTimeout(run, ms);
          return () => clearTimeout(timer);
        },
        store: sessionStorage,
        nonce: () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-"),
      },
      this.id,
      this.me.value?.person ?? "",
      () => this.#changed(),
    );
    this.#client = client;
    this.phase.value = "inside";
    client.start();
    // Picture and sound need not wait for the room to be drawn; who is not let in yet is told so and asks again then.
    if (this.facts.value?.state === "live" && this.me.value?.role === "attendee") {
      this.media.watch(Level.ADMITTED);
    }
  }

  async #socketTicket(): Promise<string> {
    try {
      return await api.socketTicket(this.id);
    } catch (error) {
      if (
        error instanceof Problem &&
        (error.status === 401 || error.status === 403 || error.status === 404)
      ) {
        throw new Unwelcome(error.code === "removed" ? CLOSE.REMOVED : CLOSE.BAD_TICKET);
      }
      if (error instanceof Problem && error.code === "ended") throw new Unwelcome(CLOSE.ENDED);
      throw error;
    }
  }

  #changed(): void {
    const client = this.#client;
    if (!client) return;
    const before = this.view.value;
    this.view.value = client.view;
    const was = before?.line.kind;
    if (was === "reconnecting" && client.view.line.kind === "connected") this.media.wake();
    if (was !== "connected" && client.view.line.kind === "connected") {
      const reach = this.media.reach ?? this.knownReach();
      if (reach) this.#tellReach(reach);
    }
    if (before?.stage !== client.view.stage) this.media.lose(client.view.stage.gone ?? []);
    // Who does not hear the server may be wanted: then everything is sent.
    const { line, stage, you } = client.view;
    this.media.rest((line.kind === "connected" && you && stage.idle?.[you.id]) || {});
    if (you) {
      const holder = screenOf(stage);
      const muted = client.view.room.stage.muted[you.id]?.includes("screen") ?? false;
      this.media.yieldScreen(muted, holder !== "" && holder !== you.id);
    }
    this.items.value = client.outbox.items;
  }
}

export const VisitContext = createContext<Visit | null>(null);

/** The visit this component belongs to. */
export function useVisit(): Visit {
  const visit = useContext(VisitContext);
  if (!visit) throw new Error("outside of a visit");
  return visit;
}
