import type {
  Act,
  AnyEvent,
  Card,
  Channel,
  ChatRules,
  DoorMessage,
  Hand,
  Message,
  OwnQuestion,
  Person,
  Poll,
  PublicPoll,
  PublicQuestion,
  Question,
  QuestionRules,
  Role,
  Seen,
  Settings,
  StageSource,
  Standing,
  State,
  Timer,
} from "./wire.ts";

/** Messages per channel in a snapshot; as many or more mean that there may be older ones. */
const RECENT = 80;

export interface Talk {
  messages: readonly Message[];
  /** Whether older messages may be had by paging. */
  more: boolean;
}

/**
 * Everything this viewer knows of one session: a fold of the events that the server let through.
 * A value: each event makes a new one that shares what did not change.
 */
export interface Room {
  readonly session: { id: string; settings: Settings | null; state: State; since: number };
  readonly cards: Readonly<Record<string, Card>>;
  /** Who is inside, in order of entering. */
  readonly inside: Readonly<Record<string, Role>>;
  /** Everybody's standing, as the staff see it. */
  readonly people: Readonly<Record<string, Person>>;
  readonly mine: {
    standing: { standing: Standing; at: number; text: string } | null;
    muted: boolean;
    hand: { state: Hand["state"]; until: number | null } | null;
    held: readonly Message[];
    /** Own messages that were held and will not be posted. */
    dropped: readonly Message[];
    questions: Readonly<Record<string, OwnQuestion>>;
    votes: ReadonlySet<string>;
    /** The options on one's own ballot, by poll. */
    ballots: Readonly<Record<string, readonly string[]>>;
    door: readonly DoorMessage[];
  };
  /** Conversations at the door by visitor, as the staff hear them. */
  readonly door: Readonly<Record<string, readonly DoorMessage[]>>;
  readonly stage: {
    seats: readonly string[];
    muted: Readonly<Record<string, readonly StageSource[]>>;
    veiled: boolean;
    spotlight: string;
    timer: Timer | null;
  };
  readonly hands: {
    open: boolean;
    raised: readonly { person: string; at: number }[];
    filed: Readonly<Record<string, Hand>>;
  };
  readonly chat: Readonly<Record<Channel, Talk>> & { rules: ChatRules; held: readonly Message[] };
  readonly questions: {
    filed: Readonly<Record<string, Question>>;
    listed: Readonly<Record<string, PublicQuestion>>;
    rules: QuestionRules;
  };
  readonly polls: {
    /** All of them, drafts too, as the staff see them. */
    filed: Readonly<Record<string, Poll>>;
    /** Those that have been opened. */
    listed: Readonly<Record<string, PublicPoll>>;
  };
  readonly acts: readonly Act[];
}

const quiet: Talk = { messages: [], more: false };

/** A room of which nothing is known yet. */
export const emptyRoom: Room = {
  session: { id: "", settings: null, state: "published", since: 0 },
  cards: {},
  inside: {},
  people: {},
  mine: {
    standing: null,
    muted: false,
    hand: null,
    held: [],
    dropped: [],
    questions: {},
    votes: new Set(),
    ballots: {},
    door: [],
  },
  door: {},
  stage: { seats: [], muted: {}, veiled: false, spotlight: "", timer: null },
  hands: { open: true, raised: [], filed: {} },
  chat: {
    main: quiet,
    backstage: quiet,
    staff: quiet,
    rules: { slow: 0, hold: false, closed: false },
    held: [],
  },
  questions: { filed: {}, listed: {}, rules: { closed: false, frozen: false } },
  polls: { filed: {}, listed: {} },
  acts: [],
};

function without<T>(record: Readonly<Record<string, T>>, key: string): Record<string, T> {
  const { [key]: _gone, ...rest } = record;
  return rest;
}

function upsert<T extends { id: string }>(list: readonly T[], item: T): T[] {
  return list.some((each) => each.id === item.id)
    ? list.map((each) => (each.id === item.id ? item : each))
    : [...list, item];
}

/** Puts a message in its place: the newest usually at the end, a page of history before. */
function placed(list: readonly Message[], message: Message): Message[] {
  const known = list.findIndex((each) => each.id === message.id);
  if (known >= 0) return list.with(known, message);
  let at = list.length;
  while (at > 0 && (list[at - 1]?.at ?? 0) > message.at) at -= 1;
  return [...list.slice(0, at), message, ...list.slice(at)];
}

function shown(room: Room, { message }: { message: Message }): Room {
  const talk = room.chat[message.channel];
  const same = (each: Message) => each.id !== message.id;
  return {
    ...room,
    mine: { ...room.mine, held: room.mine.held.filter(same) },
    chat: {
      ...room.chat,
      [message.channel]: { ...talk, messages: placed(talk.messages, message) },
      held: room.chat.held.filter(same),
    },
  };
}

type Reacted = Omit<Extract<AnyEvent, { t: "reacted" }>, "t">;

/** How a reaction changes a message of a channel; of one that is further back than this page has read, nothing. */
const reacted =
  (channel: Channel) =>
  (room: Room, { id, person, reaction, on = true }: Reacted): Room => {
    const talk = room.chat[channel];
    const messages = talk.messages.map((each) => {
      const who = each.reactions?.[reaction] ?? [];
      if (each.id !== id || each.deleted || who.includes(person) === on) return each;
      const now = on ? [...who, person] : who.filter((one) => one !== person);
      const others = without(each.reactions ?? {}, reaction);
      return { ...each, reactions: now.length ? { ...each.reactions, [reaction]: now } : others };
    });
    return { ...room, chat: { ...room.chat, [channel]: { ...talk, messages } } };
  };

type Folds = { [E in AnyEvent as E["t"]]: (room: Room, event: E) => Room };

/** One line per event: how it changes what this viewer knows. Folding a fact twice changes nothing more. */
const folds: Folds = {
  opened: (room, { id, settings }) => ({ ...room, session: { ...room.session, id, settings } }),
  settings_changed: (room, { settings }) => ({ ...room, session: { ...room.session, settings } }),
  state_changed: (room, { state, at }) => ({ ...room, session: { ...room.session, state, since: at } }),
  links_voided: (room) => room,
  person_filed: (room, { person }) => {
    const moved = room.people[person.id] && room.people[person.id]?.standing !== person.standing;
    const others = moved ? without(room.people, person.id) : room.people;
    return { ...room, people: { ...others, [person.id]: person } };
  },
  entered: (room, { person, role }) => ({ ...room, inside: { ...room.inside, [person]: role as Role } }),
  left: (room, { person }) => ({ ...room, inside: without(room.inside, person) }),
  your_standing: (room, { standing, at, text }) => ({
    ...room,
    mine: { ...room.mine, standing: { standing, at, text: text ?? "" } },
  }),
  you_were_muted: (room, { on }) => ({ ...room, mine: { ...room.mine, muted: on } }),
  door_spoken: (room, { line }) => ({
    ...room,
    door: { ...room.door, [line.visitor]: upsert(room.door[line.visitor] ?? [], line) },
  }),
  person_forgotten: (room, { person }) => ({
    ...room,
    door: without(room.door, person),
    cards: without(room.cards, person),
  }),
  // The card itself comes beside the events (`withCards`).
  card_changed: (room) => room,
  card_at_door_changed: (room) => room,
  your_card_changed: (room) => room,
  your_door_talk_erased: (room) => ({ ...room, mine: { ...room.mine, door: [] } }),
  door_heard: (room, { line }) => ({ ...room, mine: { ...room.mine, door: upsert(room.mine.door, line) } }),
  seated: (room, { person }) =>
    room.stage.seats.includes(person)
      ? room
      : { ...room, stage: { ...room.stage, seats: [...room.stage.seats, person] } },
  unseated: (room, { person }) => ({
    ...room,
    stage: {
      ...room.stage,
      seats: room.stage.seats.filter((seat) => seat !== person),
      muted: without(room.stage.muted, person),
      spotlight: room.stage.spotlight === person ? "" : room.stage.spotlight,
    },
  }),
  source_muted: (room, { person, source, on }) => {
    const others = (room.stage.muted[person] ?? []).filter((each) => each !== source);
    return {
      ...room,
      stage: { ...room.stage, muted: { ...room.stage.muted, [person]: on ? [...others, source] : others } },
    };
  },
  veiled: (room, { on }) => ({ ...room, stage: { ...room.stage, veiled: on } }),
  spotlit: (room, { person }) => ({ ...room, stage: { ...room.stage, spotlight: person ?? "" } }),
  timer_set: (room, { timer }) => ({ ...room, stage: { ...room.stage, timer: timer.until ? timer : null } }),
  hands_set: (room, { open }) => ({ ...room, hands: { ...room.hands, open } }),
  hand_raised: (room, { person, at }) => ({
    ...room,
    hands: {
      ...room.hands,
      raised: [...room.hands.raised.filter((hand) => hand.person !== person), { person, at }],
    },
  }),
  hand_lowered: (room, { person }) => ({
    ...room,
    hands: { ...room.hands, raised: room.hands.raised.filter((hand) => hand.person !== person) },
  }),
  hand_filed: (room, { hand }) => {
    const known = room.hands.filed[hand.person]?.state;
    const again = known === "refused" || known === "expired";
    // A refusal and a lapse stay in sight of the staff, who asked.
    const filed =
      hand.state === "off"
        ? without(room.hands.filed, hand.person)
        : { ...(again ? without(room.hands.filed, hand.person) : room.hands.filed), [hand.person]: hand };
    return { ...room, hands: { ...room.hands, filed } };
  },
  your_hand: (room, { state, until }) => ({
    ...room,
    mine: { ...room.mine, hand: { state, until: until ?? null } },
  }),
  posted: shown,
  posted_backstage: shown,
  posted_to_staff: shown,
  reacted: reacted("main"),
  reacted_backstage: reacted("backstage"),
  reacted_to_staff: reacted("staff"),
  held: (room, { message }) => ({ ...room, chat: { ...room.chat, held: upsert(room.chat.held, message) } }),
  yours_held: (room, { message }) => ({
    ...room,
    mine: { ...room.mine, held: upsert(room.mine.held, message) },
  }),
  held_dropped: (room, { id }) => ({
    ...room,
    chat: { ...room.chat, held: room.chat.held.filter((each) => each.id !== id) },
  }),
  yours_dropped: (room, { id }) => ({
    ...room,
    mine: {
      ...room.mine,
      held: room.mine.held.filter((each) => each.id !== id),
      dropped: room.mine.held.filter((each) => each.id === id).reduce(upsert, [...room.mine.dropped]),
    },
  }),
  chat_rules_set: (room, { rules }) => ({ ...room, chat: { ...room.chat, rules } }),
  question_filed: (room, { question }) => ({
    ...room,
    questions: { ...room.questions, filed: { ...room.questions.filed, [question.id]: question } },
  }),
  question_listed: (room, { question }) => ({
    ...room,
    questions: { ...room.questions, listed: { ...room.questions.listed, [question.id]: question } },
  }),
  question_unlisted: (room, { id }) => ({
    ...room,
    questions: { ...room.questions, listed: without(room.questions.listed, id) },
  }),
  own_question_changed: (room, { question }) => ({
    ...room,
    mine: { ...room.mine, questions: { ...room.mine.questions, [question.id]: question } },
  }),
  voted: (room, { id, on }) => {
    const votes = new Set(room.mine.votes);
    if (on) votes.add(id);
    else votes.delete(id);
    return { ...room, mine: { ...room.mine, votes } };
  },
  question_rules_set: (room, { rules }) => ({ ...room, questions: { ...room.questions, rules } }),
  poll_filed: (room, { poll }) => ({
    ...room,
    polls: { ...room.polls, filed: { ...room.polls.filed, [poll.id]: poll } },
  }),
  poll_dropped: (room, { id }) => ({
    ...room,
    polls: { ...room.polls, filed: without(room.polls.filed, id) },
  }),
  poll_listed: (room, { poll }) => ({
    ...room,
    polls: { ...room.polls, listed: { ...room.polls.listed, [poll.id]: poll } },
  }),
  ballot_cast: (room, { id, choices }) => {
    const others = without(room.mine.ballots, id);
    const ballots = choices?.length ? { ...others, [id]: choices } : others;
    return { ...room, mine: { ...room.mine, ballots } };
  },
  act_recorded: (room, { act }) => ({ ...room, acts: upsert(room.acts, act) }),
};

/** Folds one event; an event of a newer server that we do not know changes nothing. */
export function fold(room: Room, event: AnyEvent): Room {
  const known = folds[event.t] as ((room: Room, event: AnyEvent) => Room) | undefined;
  return known ? known(room, event) : room;
}

export function foldEntries(room: Room, entries: readonly Seen[]): Room {
  return entries.flatMap((entry) => entry.events).reduce(fold, room);
}

export function withCards(room: Room, cards: readonly Card[] | undefined): Room {
  if (!cards || cards.length === 0) return room;
  return { ...room, cards: { ...room.cards, ...Object.fromEntries(cards.map((card) => [card.id, card])) } };
}

/** Builds the room anew from a snapshot: the same fold as live, from an empty room. */
export function fromSnapshot(events: readonly AnyEvent[], cards: readonly Card[] | undefined): Room {
  const room = events.reduce(fold, withCards(emptyRoom, cards));
  const full = (channel: Channel): Talk => {
    const { messages } = room.chat[channel];
    return { messages, more: messages.length >= RECENT };
  };
  return {
    ...room,
    chat: { ...room.chat, main: full("main"), backstage: full("backstage"), staff: full("staff") },
  };
}

/** Adds a page of history. */
export function withPage(room: Room, channel: Channel, events: readonly AnyEvent[], more: boolean): Room {
  const grown = events.reduce(fold, room);
  return { ...grown, chat: { ...grown.chat, [channel]: { ...grown.chat[channel], more } } };
}

/** Where paging towards the past starts: pinned messages may stand alone far before the rest. */
export function oldest(talk: Talk): string {
  return (talk.messages.find((message) => !message.pinned) ?? talk.messages[0])?.id ?? "";
}

/** Posting time of the newest message that somebody else wrote. */
export function newestOf(messages: readonly Message[], me: string): number {
  return messages.findLast((message) => message.author !== me)?.at ?? 0;
}

/** Messages of others that were posted after `mark`, oldest first. */
export function since(messages: readonly Message[], mark: number, me: string): Message[] {
  return messages.filter((message) => message.at > mark && message.author !== me && !message.deleted);
}
