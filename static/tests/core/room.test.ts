import { expect, test } from "vitest";
import { emptyRoom, fold, foldEntries, fromSnapshot, oldest, withPage } from "../../src/core/room.ts";
import type { AnyEvent, Message, PublicPoll, PublicQuestion } from "../../src/core/wire.ts";

const message = (id: string, at: number, change: Partial<Message> = {}): Message => ({
  id,
  channel: "main",
  author: "p1",
  at,
  text: `text ${id}`,
  ...change,
});
const posted = (id: string, at: number, change?: Partial<Message>): AnyEvent => ({
  t: "posted",
  message: message(id, at, change),
});
const question = (id: string, state: PublicQuestion["state"]): PublicQuestion => ({
  id,
  number: 1,
  text: "?",
  state,
  version: 1,
  at: 1,
});

const poll = (id: string, state: PublicPoll["state"]): PublicPoll => ({
  id,
  number: 1,
  text: "?",
  kind: "single",
  options: [1, 2].map((n) => ({ id: `${id}.${n}`, text: `${n}` })),
  state,
  version: 1,
  at: 1,
});

const story: AnyEvent[] = [
  { t: "state_changed", state: "live", at: 5 },
  { t: "entered", person: "p1", role: "speaker" },
  { t: "seated", person: "p1" },
  { t: "source_muted", person: "p1", source: "microphone", on: true },
  posted("m1", 10),
  posted("m2", 20),
  posted("m1", 10, { text: "edited", edited: 21 }),
  { t: "hand_raised", person: "p2", at: 11 },
  { t: "hand_raised", person: "p3", at: 12 },
  { t: "hand_lowered", person: "p2" },
  { t: "question_listed", question: question("q1", "open") },
  { t: "question_listed", question: question("q2", "open") },
  { t: "question_unlisted", id: "q2", into: "q1" },
  { t: "voted", to: "me", id: "q1", on: true },
  { t: "poll_filed", poll: { ...poll("l1", "draft"), by: "m1" } },
  { t: "poll_filed", poll: { ...poll("l2", "draft"), by: "m1" } },
  { t: "poll_dropped", id: "l2" },
  { t: "poll_listed", poll: poll("l1", "open") },
  { t: "ballot_cast", to: "a-1", id: "l1", choices: ["l1.1"] },
  { t: "ballot_cast", to: "a-1", id: "l1", choices: ["l1.2"] },
  { t: "ballot_cast", to: "a-1", id: "l0" },
];

test("live and snapshot are one fold", () => {
  const live = foldEntries(emptyRoom, [{ seq: 1, at: 1, events: story }]);
  const snapshot = fromSnapshot(story, []);
  expect(snapshot).toEqual(live);
  expect(live.session.state).toBe("live");
  expect(live.chat.main.messages.map((each) => each.text)).toEqual(["edited", "text m2"]);
  expect(live.hands.raised.map((hand) => hand.person)).toEqual(["p3"]);
  expect(Object.keys(live.questions.listed)).toEqual(["q1"]);
  expect(Object.keys(live.polls.filed)).toEqual(["l1"]);
  expect(Object.keys(live.polls.listed)).toEqual(["l1"]);
  expect(live.mine.ballots).toEqual({ l1: ["l1.2"] });
  expect(live.stage.muted.p1).toEqual(["microphone"]);
});

test("every fact folded twice changes nothing more", () => {
  const once = story.reduce(fold, emptyRoom);
  const twice = story.reduce((room, event) => fold(fold(room, event), event), emptyRoom);
  expect(twice).toEqual(once);
});

test("folding makes a new value and leaves the old one alone", () => {
  const before = fromSnapshot(story, []);
  const frozen = structuredClone(before);
  fold(before, posted("m3", 30));
  expect(before).toEqual(frozen);
});

test("an event we do not know changes nothing", () => {
  const room = fromSnapshot(story, []);
  expect(fold(room, { t: "from_the_future" } as unknown as AnyEvent)).toBe(room);
});

test("a page of history goes before what is known, in order of time, once", () => {
  const room = fromSnapshot([posted("m5", 50), posted("m6", 60)], []);
  const paged = withPage(room, "main", [posted("m3", 30), posted("m4", 40), posted("m5", 50)], false);
  expect(paged.chat.main.messages.map((each) => each.id)).toEqual(["m3", "m4", "m5", "m6"]);
  expect(paged.chat.main.more).toBe(false);
});

test("paging starts at the oldest message that is not merely pinned", () => {
  const room = fromSnapshot([posted("m1", 1, { pinned: true }), posted("m8", 80), posted("m9", 90)], []);
  expect(oldest(room.chat.main)).toBe("m8");
});

test("a reaction changes the message that the page has, and nothing else", () => {
  const react = (person: string, on?: boolean): AnyEvent => ({
    t: "reacted",
    id: "m1",
    person,
    reaction: "nod",
    ...(on === undefined ? {} : { on }),
  });
  const who = (...events: AnyEvent[]) =>
    [posted("m1", 10), posted("m2", 20), ...events]
      .reduce(fold, emptyRoom)
      .chat.main.messages.map((one) => one.reactions);
  expect(who(react("a"), react("b"), react("a"))).toEqual([{ nod: ["a", "b"] }, undefined]);
  expect(who(react("a"), react("b"), react("a", false))).toEqual([{ nod: ["b"] }, undefined]);
  expect(who(react("a"), react("a", false))).toEqual([{}, undefined]);
  expect(who({ ...react("a"), t: "reacted_to_staff" } as AnyEvent)).toEqual([undefined, undefined]);
  expect(fold(emptyRoom, react("a")).chat.main.messages).toEqual([]);
});

test("a held message is the author's until it is posted or dropped", () => {
  const held = fold(emptyRoom, { t: "yours_held", to: "me", message: message("m1", 1) });
  expect(held.mine.held).toHaveLength(1);
  expect(fold(held, posted("m1", 1)).mine.held).toEqual([]);
  expect(fold(held, { t: "yours_dropped", to: "me", id: "m1" }).mine.held).toEqual([]);
});

test("a person who comes back stands at the end of the line", () => {
  const filed = (id: string, standing: "waiting" | "sent_back"): AnyEvent => ({
    t: "person_filed",
    person: {
      id,
      role: "attendee",
      standing,
      registered: false,
      at: 1,
      muted: false,
      reach: null,
      verdict: null,
    },
  });
  const room = [
    filed("a", "waiting"),
    filed("b", "waiting"),
    filed("a", "sent_back"),
    filed("a", "waiting"),
  ].reduce(fold, emptyRoom);
  expect(Object.keys(room.people)).toEqual(["b", "a"]);
});
