// Printed by `python -m live.protocol` from the message classes. Do not edit.

export const VERSION = 1;
export const SUBPROTOCOL = "madoi.v1";

/** What `ready` says unless the server was told otherwise. */
export const LIMITS: Limits = {"frame_bytes":16384,"window":8,"hello_ms":5000,"ping_ms":20000,"silence_ms":90000,"answers":4096,"commands":{"per_second":5,"burst":20},"pages":{"per_second":2,"burst":10},"signals":{"per_second":2,"burst":10}};

/** Why the server closed the socket: 4000-4499 come back, 4500-4999 stay away. */
export const CLOSE = {
  /** The client said goodbye, or the server has no reason to keep the socket. */
  BYE: 4000,
  /** The server is about to restart; come back after a random part of a second. */
  RESTARTING: 4001,
  /** More than the outbox holds was waiting for this reader; come back and resume. */
  TOO_SLOW: 4008,
  /** The server lost its place; come back and resume. */
  RESYNC: 4010,
  /** Nothing was heard from the client for too long. */
  NO_PONG: 4012,
  /** Too many connections from here or to this server, or too many frames for nothing. */
  TOO_MANY: 4013,
  /** The server cannot reach its store; nothing is acknowledged meanwhile. */
  STORE_AWAY: 4014,
  /** The ticket in `hello` is unknown, used up, expired or for another session. */
  BAD_TICKET: 4500,
  /** A frame could not be read, or came out of turn. */
  BAD_MESSAGE: 4501,
  /** No `hello` came within its time. */
  NO_HELLO: 4502,
  /** A moderator removed this person, or the person left on purpose. */
  REMOVED: 4503,
  /** Too many people wait at the session's door; try again later. */
  FULL: 4504,
  /** The client speaks a version that the server no longer speaks; load the page again. */
  TOO_OLD: 4505,
  /** The same person connected from another tab or device, which goes on. */
  TAKEN_OVER: 4509,
  /** The session is closed for good. */
  ENDED: 4510,
} as const;

/** Why a question was refused. */
export type RefusalCode =
  /** The capacity is not between 1 and 100,000. */
  | "bad_capacity"
  /** At least one option must be on a ballot, and no more than there are (`at`). */
  | "bad_choice_limits"
  /** The command is unknown or one of its fields is malformed; nothing was done. */
  | "bad_command"
  /** The time is outside what can be set. */
  | "bad_duration"
  /** A poll has two to `at` options. */
  | "bad_options"
  /** A scale has three to `at` steps. */
  | "bad_scale"
  /** The ticket was voided after it had let the person in. */
  | "bad_ticket"
  /** The session cannot go from its state to that one. */
  | "bad_transition"
  /** The server has too much to do; try again after `wait` milliseconds. */
  | "busy"
  /** Only staff may write in the chat now. */
  | "chat_closed"
  /** A colleague (`by`) is looking at this question, for `wait` milliseconds more. */
  | "claimed"
  /** Somebody (`by`) changed it first; it is at version `at` now. */
  | "conflict"
  /** The message has been deleted. */
  | "deleted"
  /** The session is closed. */
  | "ended"
  /** The session has been opened before. */
  | "exists"
  /** Not with this role. */
  | "forbidden"
  /** All places (`at`) are taken, inside or, for who knocks, in the line at the door. */
  | "full"
  /** Hands cannot be raised now. */
  | "hands_closed"
  /** While messages are reviewed, written ones cannot be changed. */
  | "held_for_review"
  /** Question number `at` is being answered. */
  | "live_taken"
  /** A moderator has taken this person's voice. */
  | "muted"
  /** Questions are fully anonymous here; a name cannot be kept. */
  | "names_not_kept"
  /** The list of next questions holds `at`, no more. */
  | "next_full"
  /** There is no invitation, or it has run out. */
  | "no_invitation"
  /** There is no such message, or not for you. */
  | "no_such_message"
  /** The poll has no such option. */
  | "no_such_option"
  /** There is no such person. */
  | "no_such_person"
  /** There is no such poll, or not for you. */
  | "no_such_poll"
  /** There is no such question, or not for you. */
  | "no_such_question"
  /** There is no such speaker. */
  | "no_such_speaker"
  /** Only people inside may do this. */
  | "not_admitted"
  /** Only attendees are invited to the stage. */
  | "not_an_attendee"
  /** The person is not behind the curtain. */
  | "not_backstage"
  /** The person is not on stage. */
  | "not_on_stage"
  /** The person does not wait at the door. */
  | "not_waiting"
  /** Nobody does this to themselves. */
  | "not_yourself"
  /** Nobody votes for their own question. */
  | "own_question"
  /** Questions hide less of their asker now than this one was told; it was not asked. */
  | "policy_changed"
  /** The poll takes no more votes. */
  | "poll_closed"
  /** Poll number `at` is open; one is open at a time. */
  | "poll_taken"
  /** Questions are closed now. */
  | "questions_closed"
  /** Too many in a short time; try again after `wait` milliseconds. */
  | "rate"
  /** The person is no longer part of the session. */
  | "removed"
  /** Its results, hidden while people voted, have been shown; it stays closed. */
  | "results_shown"
  /** Option number `at` says what one before it says. */
  | "same_option"
  /** Slow mode: the next message may come in `wait` milliseconds. */
  | "slow_mode"
  /** The stage holds `at` people, no more. */
  | "stage_full"
  /** The store does not answer; asking again with the same nonce is safe. */
  | "store_away"
  /** The next question may come in `wait` milliseconds. */
  | "too_fast"
  /** A ballot names at least `at` options. */
  | "too_few_choices"
  /** The text is longer than `at` characters. */
  | "too_long"
  /** A ballot names no more than `at` options. */
  | "too_many_choices"
  /** No more than `at` messages can be pinned. */
  | "too_many_pins"
  /** A session holds no more than `at` polls. */
  | "too_many_polls"
  /** `at` questions of yours wait already. */
  | "too_many_waiting"
  /** The text is shorter than `at` characters. */
  | "too_short"
  /** Asked so long ago that nobody knows whether it was done; look, then ask under a new nonce. */
  | "unsure"
  /** More commands under way than `limits.window`; wait for an answer first. */
  | "window"
  /** It is not in a state that allows this; it is at version `at`. */
  | "wrong_state"
;

/** The roles that may ask a command (the server decides; this is for showing controls). */
export const MAY_ASK: Record<AnyCommand["t"], readonly Role[]> = {
  set_state: ["moderator", "organiser"],
  change_settings: ["moderator", "organiser"],
  knock: ["attendee", "moderator", "organiser", "presenter", "speaker"],
  tell_reach: ["attendee", "moderator", "organiser", "presenter", "speaker"],
  leave: ["attendee", "moderator", "organiser", "presenter", "speaker"],
  admit: ["moderator", "organiser"],
  admit_all: ["moderator", "organiser"],
  send_back: ["moderator", "organiser"],
  say_at_door: ["attendee", "moderator", "organiser", "presenter", "speaker"],
  remove: ["moderator", "organiser"],
  unblock: ["moderator", "organiser"],
  mute: ["moderator", "organiser"],
  bring_on: ["moderator", "organiser"],
  take_off: ["moderator", "organiser"],
  step_down: ["attendee", "moderator", "organiser", "presenter", "speaker"],
  mute_source: ["moderator", "organiser"],
  spotlight: ["moderator", "organiser"],
  set_timer: ["moderator", "organiser"],
  lift_veil: ["moderator", "organiser"],
  stop_everything: ["moderator", "organiser"],
  raise_hand: ["attendee"],
  lower_hand: ["attendee", "moderator", "organiser", "presenter", "speaker"],
  invite: ["moderator", "organiser"],
  answer_invitation: ["attendee"],
  set_hands: ["moderator", "organiser"],
  post: ["attendee", "moderator", "organiser", "presenter", "speaker"],
  edit_message: ["attendee", "moderator", "organiser", "presenter", "speaker"],
  delete_message: ["attendee", "moderator", "organiser", "presenter", "speaker"],
  react: ["attendee", "moderator", "organiser", "presenter", "speaker"],
  pin: ["moderator", "organiser"],
  set_chat_rules: ["moderator", "organiser"],
  review_held: ["moderator", "organiser"],
  ask: ["attendee", "moderator", "organiser", "presenter", "speaker"],
  revise: ["attendee", "moderator", "organiser", "presenter", "speaker"],
  withdraw: ["attendee", "moderator", "organiser", "presenter", "speaker"],
  vote: ["attendee", "moderator", "organiser", "presenter", "speaker"],
  claim: ["moderator", "organiser"],
  approve: ["moderator", "organiser"],
  return_question: ["moderator", "organiser"],
  decline: ["moderator", "organiser"],
  queue: ["moderator", "organiser"],
  put_back: ["moderator", "organiser"],
  order_next: ["moderator", "organiser"],
  take: ["moderator", "organiser", "presenter", "speaker"],
  answer: ["moderator", "organiser", "presenter", "speaker"],
  reopen: ["moderator", "organiser"],
  merge: ["moderator", "organiser"],
  address: ["moderator", "organiser", "presenter", "speaker"],
  label: ["moderator", "organiser"],
  convert_message: ["moderator", "organiser"],
  set_question_rules: ["moderator", "organiser"],
  draft_poll: ["moderator", "organiser"],
  edit_poll: ["moderator", "organiser"],
  drop_poll: ["moderator", "organiser"],
  open_poll: ["moderator", "organiser"],
  close_poll: ["moderator", "organiser"],
  show_results: ["moderator", "organiser"],
  reopen_poll: ["moderator", "organiser"],
  cast_ballot: ["attendee", "presenter", "speaker"],
};

/** What the server will bear from one connection. */
export interface Limits {
  /** Largest frame. */
  frame_bytes: number;
  /** Commands that may be under way at once. */
  window: number;
  /** Time for `hello` to come. */
  hello_ms: number;
  /** How often the client should `ping`. */
  ping_ms: number;
  /** Time without any frame after which the server closes. */
  silence_ms: number;
  /** The room remembers its answers to so many commands; who says `since` is told `unsure`, not answered anew, when it does no longer. A server that does not say this does not know `since`. */
  answers: number;
  /** Rate of `do`. */
  commands: Rate;
  /** Rate of `page`. */
  pages: Rate;
  /** Rate of `signal` and `typing` together. */
  signals: Rate;
}

/** A token bucket. */
export interface Rate {
  /** How fast the bucket fills. */
  per_second: number;
  /** How much it holds. */
  burst: number;
}

/** Who the server takes you for. */
export interface You {
  /** Your person id. */
  id: string;
  /** From your ticket. */
  role: Role;
  /** How much of the room you see now: 0 everyone, 1 admitted, 2 stage, 3 staff. */
  level: Level;
  /** As shown to others. */
  name: string;
  /** Your blinded name; in fully anonymous Q&A your own questions carry it. */
  alias: string;
}

/** What a person is in a session; a fact of the signed ticket. */
export type Role = "organiser" | "moderator" | "speaker" | "presenter" | "attendee";

/** How much of a room a viewer sees: a linear order, so one comparison decides. */
export type Level = 0 | 1 | 2 | 3;
export const Level = {
  EVERYONE: 0,
  ADMITTED: 1,
  STAGE: 2,
  STAFF: 3,
} as const;

/** Who a person is, as far as it is shown. Cards lie beside the log and can be erased. */
export interface Card {
  /** The person id that events carry. */
  id: string;
  /** As shown to others. */
  name: string;
  /** The role in this session. */
  role: Role;
  /** If given. */
  profession?: string;
  /** The name looks like that of somebody on the staff or on stage, and the person is neither. */
  alike?: boolean;
}

/** One entry of the log, without what the viewer may not see. */
export interface Seen {
  /** The entry's number. */
  seq: number;
  /** When it was decided, in milliseconds since 1970. */
  at: number;
  /** What happened, in order. */
  events: AnyEvent[];
}

/** Whose track fills a slot of the media connection. */
export interface Publication {
  /** Person id. */
  person: string;
  /** `camera`, `microphone` or `screen`. */
  source: string;
}

/** Where a session is in its life. */
export type State = "published" | "doors" | "backstage" | "live" | "after" | "closed";

/** How media reaches a person, as their own page found by trying: directly, over TCP, by a relay, not. */
export type Reach = "udp" | "tcp" | "relay" | "none";

/** What the staff write to make a poll. */
export interface PollForm {
  /** what is asked, up to 200 characters. */
  text: string;
  /** one choice, several, or a step on a scale. */
  kind?: "multiple" | "rating" | "single";
  /** two to ten, up to 80 characters each; a scale makes its own. */
  options?: string[];
  /** fewest options on a ballot, where several may be chosen. */
  least?: number;
  /** most options, likewise; 0: all of them. */
  most?: number;
  /** steps of a scale, three to ten. */
  scale?: number;
  /** words for the low end of a scale, up to 20 characters. */
  low?: string;
  /** words for its high end, likewise. */
  high?: string;
  /** hidden until it is *closed*, or only from those who have not *voted*. */
  results?: "closed" | "voted";
}

/** What the organiser decided about a session. */
export interface Settings {
  /** shown to everyone. */
  title: string;
  /** the template. */
  kind: Kind;
  /** milliseconds since the epoch, or none while undecided. */
  starts_at: number | null;
  /** most attendees inside at once. */
  capacity: number;
  /** whether people without a personal ticket knock or walk in. */
  door: "knock" | "open";
  /** class A (nothing remains) to D (public archive). */
  retention: "A" | "B" | "C" | "D";
  /** whether anything about media may reach a disk. */
  recording: boolean;
  /** how questions work. */
  qa: QuestionPolicy;
}

/** The template a session is made from. */
export type Kind = "lecture" | "case" | "networking" | "reading";

/** How questions are asked in this session (product contract, section 4). */
export interface QuestionPolicy {
  /** new questions wait for a moderator; else they open at once. */
  moderated: boolean;
  /** *named*; *anonymous* to attendees while staff can see; *full*: nobody can tell. */
  anonymity: "anonymous" | "full" | "named";
  /** fewest characters. */
  least: number;
  /** most characters. */
  most: number;
  /** vote counts are shown to staff only. */
  counts_hidden: boolean;
}

/** A person's standing as the staff see it. Names lie beside the log, under `id`. */
export interface Person {
  /** the person. */
  id: string;
  /** as on the ticket when the person arrived. */
  role: Role;
  /** waiting, inside, out. */
  standing: Standing;
  /** has a personal ticket, so needs no knock inside the entry window. */
  registered: boolean;
  /** when the standing began, in milliseconds. */
  at: number;
  /** may not chat or ask. */
  muted: boolean;
  /** how media reaches the person; None until the person's page has told. */
  reach: Reach | null;
  /** outlives the standing, so that leaving undoes no removal; None while nothing was decided. */
  verdict: Verdict | null;
}

/** Where a person stands with this room. */
export type Standing = "waiting" | "inside" | "sent_back" | "left" | "removed" | "blocked";

/** What was decided last about a person: let in, or put out (removed or sent back). */
export type Verdict = "admitted" | "refused";

/** One line of the conversation between a waiting person and the staff. */
export interface DoorMessage {
  id: string;
  visitor: string;
  author: string;
  text: string;
  at: number;
}

/** A countdown that everybody inside sees. Without `until` there is none. */
export interface Timer {
  until: number | null;
  label: string;
}

/** One person's hand, as the staff see it. */
export interface Hand {
  /** whose. */
  person: string;
  /** where on the way to the stage. */
  state: "checking" | "expired" | "invited" | "off" | "on_stage" | "raised" | "refused";
  /** when it was raised (or the invitation made), in milliseconds. */
  at: number;
  /** when the present step expires, if it does. */
  until: number | null;
  /** whether the hand was raised by the person (else invited unasked). */
  raised: boolean;
}

/** One message as it stands now. */
export interface Message {
  /** unique in the room. */
  id: string;
  /** `main` (everyone inside), `backstage` (speakers and staff), `staff`. */
  channel: "backstage" | "main" | "staff";
  /** person id. */
  author: string;
  /** when it was posted, in milliseconds. */
  at: number;
  /** plain text; empty once deleted. */
  text: string;
  /** id of the message it answers. */
  reply_to?: string;
  /** when it was last edited. */
  edited?: number;
  /** who took it away; the placeholder stays. */
  deleted?: "" | "author" | "staff";
  /** persons by reaction. */
  reactions?: Record<string, string[]>;
  /** shown above the list. */
  pinned?: boolean;
}

/** What holds for the room's chat. */
export interface ChatRules {
  /** seconds between two messages of one person (staff and speakers are exempt); 0: none. */
  slow: number;
  /** messages wait for a moderator. */
  hold: boolean;
  /** only staff may post. */
  closed: boolean;
}

/** A question as the staff see it. */
export interface Question {
  /** unique in the room. */
  id: string;
  /** short number people say aloud. */
  number: number;
  /** as it stands (a moderator may have edited it). */
  text: string;
  /** see the machine in the product contract, section 4. */
  state: "answered" | "declined" | "live" | "merged" | "next" | "open" | "pending" | "returned" | "withdrawn";
  /** rises by one with each change; staff transitions carry the one they saw. */
  version: number;
  /** when it was asked, in milliseconds. */
  at: number;
  /** the asker, where the staff may know; empty in fully anonymous sessions. */
  author?: string;
  /** whether the author's name is public. */
  shown?: boolean;
  /** the speaker it is for; empty: for all. */
  addressee?: string;
  /** how it was answered. */
  how?: "live" | "private" | "text" | null;
  /** the answer in text, if any; to the asker only when `how` is private. */
  answer?: string;
  /** why it was declined or returned. */
  reason?: "duplicate" | "identifies_a_person" | "other" | "out_of_scope" | "out_of_time" | null;
  /** the words that go with the reason. */
  note?: string;
  /** the question it was merged into. */
  into?: string;
  /** order among `next`. */
  place?: number;
  /** who is looking at it. */
  claim?: Claim | null;
  /** the staff's own sorting words. */
  labels?: string[];
  /** every transition. */
  steps?: Step[];
}

/** 「…が確認中」: a moderator is looking at this question until then (milliseconds). */
export interface Claim {
  by: string;
  until: number;
}

/** One transition of a question: what it became, when, and which member of staff did it (if any). */
export interface Step {
  state: "answered" | "declined" | "live" | "merged" | "next" | "open" | "pending" | "returned" | "withdrawn";
  at: number;
  by?: string;
}

/** A question as everybody inside sees it; the author is absent unless the asker shows the name. */
export interface PublicQuestion {
  id: string;
  number: number;
  text: string;
  state: "answered" | "declined" | "live" | "merged" | "next" | "open" | "pending" | "returned" | "withdrawn";
  version: number;
  at: number;
  author?: string;
  addressee?: string;
  how?: "live" | "private" | "text" | null;
  answer?: string;
  place?: number;
}

/** A question as its asker sees it, whatever its state. */
export interface OwnQuestion {
  id: string;
  number: number;
  text: string;
  state: "answered" | "declined" | "live" | "merged" | "next" | "open" | "pending" | "returned" | "withdrawn";
  version: number;
  at: number;
  shown?: boolean;
  addressee?: string;
  how?: "live" | "private" | "text" | null;
  answer?: string;
  reason?: "duplicate" | "identifies_a_person" | "other" | "out_of_scope" | "out_of_time" | null;
  note?: string;
  into?: string;
}

/** `closed` stops new questions and keeps votes; `frozen` stops both. */
export interface QuestionRules {
  closed: boolean;
  frozen: boolean;
}

/** A poll as the staff see it. */
export interface Poll {
  /** unique in the room. */
  id: string;
  /** what is asked. */
  text: string;
  /** one choice, several, or a step on a scale. */
  kind: "multiple" | "rating" | "single";
  /** what may be chosen; on a scale, its steps from low to high. */
  options: Option[];
  /** draft (staff only), open, closed. */
  state: "closed" | "draft" | "open";
  /** rises by one with each change; staff transitions carry the one they saw. */
  version: number;
  /** when it was drafted, opened or closed last, in milliseconds. */
  at: number;
  /** which member of staff changed it last. */
  by: string;
  /** short number people say aloud; 0 until it is opened. */
  number?: number;
  /** fewest options on a ballot. */
  least?: number;
  /** most options on a ballot. */
  most?: number;
  /** words for the low end of a scale. */
  low?: string;
  /** words for its high end. */
  high?: string;
  /** whether they are hidden until it is *closed*, or from those only who have not *voted*. */
  results?: "closed" | "voted";
  /** it is closed, and the results are on everybody's screen. */
  shown?: boolean;
  /** they have been at some time; it then cannot be opened again. */
  revealed?: boolean;
}

/** One thing to choose; the id is the room's own and unlike that of any other poll's option. */
export interface Option {
  id: string;
  text: string;
}

/** A poll as everybody inside sees it, from its opening on. */
export interface PublicPoll {
  id: string;
  text: string;
  kind: "multiple" | "rating" | "single";
  options: Option[];
  state: "closed" | "draft" | "open";
  version: number;
  at: number;
  number: number;
  least?: number;
  most?: number;
  low?: string;
  high?: string;
  results?: "closed" | "voted";
  shown?: boolean;
}

/** One act of a moderator or organiser. */
export interface Act {
  /** of the act. */
  id: string;
  /** who did it. */
  by: string;
  /** the act's name. */
  what: string;
  /** the person or item that it concerned; of settings, which, and how rules stand now. */
  about: string;
  /** milliseconds since the epoch. */
  at: number;
  /** 32 hexadecimal digits that stand for this act and all before it. */
  chain: string;
}

/** The first frame, at once after the upgrade: which version is spoken and what is allowed. */
export interface ReadyFrame {
  t: "ready";
  /** Version of the protocol. */
  v: number;
  /** What the server will bear. */
  limits: Limits;
}

/** The answer to `hello`, and again whenever your level changes (a `snapshot` follows then). */
export interface WelcomeFrame {
  t: "welcome";
  /** History's edition. Another one than you knew: forget your copy, a `snapshot` comes. */
  epoch: number;
  /** The room's newest entry. */
  seq: number;
  /** The server's clock, in milliseconds since 1970. */
  now: number;
  /** Session id. */
  session: string;
  /** Who you are and what you see. */
  you: You;
  /** Entries that had been acknowledged and are gone, because the store failed over to a copy that did not have them. Tell the person: what was said last may be missing. Do not send again what was acknowledged; it may contradict what others have said since. */
  lost?: number;
}

/** The whole room as you may see it, as events to fold into an empty copy. */
export interface SnapshotFrame {
  t: "snapshot";
  /** Position to resume from, with `seq`. */
  epoch: number;
  /** The entry that the snapshot includes last. */
  seq: number;
  /** Facts, in the order to apply them. */
  events: AnyEvent[];
  /** The people who occur in them. */
  cards: Card[];
}

/** What happened since the last frame. Entries without anything for you are left out, `seq` still moves. */
export interface EventsFrame {
  t: "events";
  /** Your position after this frame; keep it for the next `hello`. */
  seq: number;
  /** In order. */
  entries?: Seen[];
  /** People who occur here for the first time. */
  cards?: Card[];
}

/** The command is on disk. Its events come, or came, with `seq`. */
export interface DoneFrame {
  t: "done";
  /** Your number for it. */
  ref: number;
  /** The entry that holds it; 0 if it changed nothing. */
  seq: number;
}

/** The question was understood and refused; nothing changed. */
export interface RefusedFrame {
  t: "refused";
  /** Your number for it. */
  ref: number;
  /** Stable code. */
  why: RefusalCode;
  /** The current version or limit that it missed. */
  at?: number | null;
  /** Milliseconds after which it may succeed. */
  wait?: number | null;
  /** Who came first, where you may know it. */
  by?: string | null;
}

/** History of a chat channel, oldest first. Put each message where its time says. */
export interface PageFrame {
  t: "page";
  /** Your number for the question. */
  ref: number;
  /** Messages as they stand now. */
  events: AnyEvent[];
  /** Whether there is more in this direction. */
  more: boolean;
  /** The people who occur in them. */
  cards?: Card[];
}

/** Counts that are not history: lossy, at most a few a second; absent means unchanged. */
export interface SignalsFrame {
  t: "signals";
  /** People connected, for those inside; ids for the staff in `present`. */
  online?: number | null;
  /** Who is connected (staff only). */
  present?: string[] | null;
  /** People at the door, for the staff and for those who wait there. */
  waiting?: number | null;
  /** Quiet signals of the last seconds by kind; never below five people. */
  waves?: Partial<Record<"empathy" | "insight" | "more" | "nod" | "same_here" | "unease", number>> | null;
  /** Who is writing in the main channel, at most five. */
  typing?: string[] | null;
  /** Votes of all listed questions that have any; empty where counts are for the staff only. */
  votes?: Record<string, number> | null;
}

/** The count of one poll that has been opened; the newest replaces any before it, twice a second at most. */
export interface TallyFrame {
  t: "tally";
  /** Poll id. */
  poll: string;
  /** How many have voted. */
  voters: number;
  /** How often each option, by id, was chosen; absent while you may not see the results. */
  counts?: Record<string, number> | null;
}

/** What the media connection carries now; the whole truth each time. */
export interface StageFrame {
  t: "stage";
  /** Whose track is in which media line, by its `mid`. */
  slots?: Record<string, Publication>;
  /** The active speaker. */
  speaking?: string | null;
  /** Quality of each person's line, 0 (lost) to 3 (good). */
  lines?: Record<string, number>;
  /** People on stage whose line is lost and whose seat is kept, for two minutes. */
  away?: string[];
  /** Media workers that have died, newest last. Up to its first dot a WHIP or WHEP resource is named after its worker; whoever has one of these publishes or watches anew at once. */
  gone?: string[];
  /** By person and source, the encodings (rids, "" for one without) that nobody wants now. Only those on stage and the staff are told. Who publishes them may stop sending them, until they are gone from here. */
  idle?: Record<string, Record<string, string[]>>;
}

/** The answer to `ping`. */
export interface PongFrame {
  t: "pong";
  /** What the ping carried. */
  at: number;
  /** The server's clock, in milliseconds since 1970. */
  now: number;
}

export type ServerFrame =
  | ReadyFrame
  | WelcomeFrame
  | SnapshotFrame
  | EventsFrame
  | DoneFrame
  | RefusedFrame
  | PageFrame
  | SignalsFrame
  | TallyFrame
  | StageFrame
  | PongFrame;

/** The first frame of a client, within `limits.hello_ms` after `ready`. */
export interface HelloFrame {
  t: "hello";
  /** Version that the client speaks. */
  v: number;
  /** A one-time socket ticket, or a personal ticket. */
  ticket: string;
  /** Position to resume from, if any. */
  epoch?: number | null;
  /** Likewise; both or neither. */
  seq?: number | null;
}

/** Ask for a command. Repeat it with the same nonce after a reconnect until it is answered. */
export interface DoFrame {
  t: "do";
  /** Your number; `done` or `refused` carry it. */
  ref: number;
  /** Answered once, however often it is asked. */
  nonce: string;
  /** The command. */
  cmd: AnyCommand;
  /** For a repetition: the newest entry that you knew of when you first asked, or when you asked again if that was less. Only if `limits.answers` was told. */
  since?: number | null;
}

/** Ask for older or newer messages of a chat channel than the snapshot held. */
export interface AskPageFrame {
  t: "page";
  /** Your number; the answering `page` carries it. */
  ref: number;
  /** Which channel. */
  channel: "backstage" | "main" | "staff";
  /** Id of the oldest message you have; go towards the past. */
  before?: string;
  /** Id of the newest message you have; go towards the present. */
  after?: string;
  /** At most so many. */
  limit?: number;
}

/** A quiet signal: a nod (うなずき) or one of the five others. Never stored. */
export interface SignalFrame {
  t: "signal";
  /** Which. */
  kind: "empathy" | "insight" | "more" | "nod" | "same_here" | "unease";
}

/** I am writing in the main channel; repeat every three seconds while it lasts. */
export interface TypingFrame {
  t: "typing";
}

/** Are you there? Also keeps a quiet connection open. */
export interface PingFrame {
  t: "ping";
  /** Anything; comes back in `pong`. */
  at: number;
}

export type ClientFrame =
  | HelloFrame
  | DoFrame
  | AskPageFrame
  | SignalFrame
  | TypingFrame
  | PingFrame;

/** Move the session: open the doors, go live (本番へ), back behind the curtain, end. Asked by: moderator, organiser. */
export interface SetStateCommand {
  t: "set_state";
  state: State;
}

/** Change settings while the session runs; absent ones stay. Q&A settings hold for new questions only. Asked by: moderator, organiser. */
export interface ChangeSettingsCommand {
  t: "change_settings";
  title?: string | null;
  starts_at?: number | null;
  capacity?: number | null;
  door?: "knock" | "open" | null;
  moderated?: boolean | null;
  anonymity?: "anonymous" | "full" | "named" | null;
  counts_hidden?: boolean | null;
}

/** Knock again after having been sent back or removed (not blocked). Asked by: attendee, moderator, organiser, presenter, speaker. */
export interface KnockCommand {
  t: "knock";
}

/** Tell the staff how media reaches oneself, so that they know who cannot see before anybody asks. Asked by: attendee, moderator, organiser, presenter, speaker. */
export interface TellReachCommand {
  t: "tell_reach";
  reach: Reach;
}

/** Leave on purpose; losing the line is not leaving. Asked by: attendee, moderator, organiser, presenter, speaker. */
export interface LeaveCommand {
  t: "leave";
}

/** Let one waiting person in. Asked by: moderator, organiser. */
export interface AdmitCommand {
  t: "admit";
  person: string;
}

/** Let in everyone who waits, longest first, as far as places reach. Asked by: moderator, organiser. */
export interface AdmitAllCommand {
  t: "admit_all";
}

/** Send a waiting person away with a word; the person may knock again. Asked by: moderator, organiser. */
export interface SendBackCommand {
  t: "send_back";
  person: string;
  text?: string;
}

/** Talk through the door: the staff to a visitor, or a visitor (who leaves `visitor` out) to the staff. Asked by: attendee, moderator, organiser, presenter, speaker. */
export interface SayAtDoorCommand {
  t: "say_at_door";
  text: string;
  visitor?: string;
}

/** Take a person out of the room, for good with `block`. Asked by: moderator, organiser. */
export interface RemoveCommand {
  t: "remove";
  person: string;
  block?: boolean;
}

/** Let a blocked person knock again. Asked by: moderator, organiser. */
export interface UnblockCommand {
  t: "unblock";
  person: string;
}

/** Take away, or give back, a person's voice in chat and Q&A; the person is told. Asked by: moderator, organiser. */
export interface MuteCommand {
  t: "mute";
  person: string;
  on?: boolean;
}

/** Give a seat on stage to someone behind the curtain (an attendee must have consented). Asked by: moderator, organiser. */
export interface BringOnCommand {
  t: "bring_on";
  person: string;
}

/** Take a person off the stage; experts stay behind the curtain, an attendee returns to the audience. Asked by: moderator, organiser. */
export interface TakeOffCommand {
  t: "take_off";
  person: string;
}

/** Leave the stage oneself. Asked by: attendee, moderator, organiser, presenter, speaker. */
export interface StepDownCommand {
  t: "step_down";
}

/** Mute or unmute a microphone, camera or screen on the server, whatever the client sends. Asked by: moderator, organiser. */
export interface MuteSourceCommand {
  t: "mute_source";
  person: string;
  source: "camera" | "microphone" | "screen";
  on?: boolean;
}

/** Let one person on stage fill it, or nobody. Asked by: moderator, organiser. */
export interface SpotlightCommand {
  t: "spotlight";
  person?: string;
}

/** Start a countdown of `seconds`, or take it away with none. Asked by: moderator, organiser. */
export interface SetTimerCommand {
  t: "set_timer";
  seconds?: number | null;
  label?: string;
}

/** Show the stage again after 全部止める; mutes stay until lifted one by one. Asked by: moderator, organiser. */
export interface LiftVeilCommand {
  t: "lift_veil";
}

/** 全部止める: veil the stage, mute everybody on it, close the chat. Asked by: moderator, organiser. */
export interface StopEverythingCommand {
  t: "stop_everything";
}

/** Ask to speak. Asked by: attendee. */
export interface RaiseHandCommand {
  t: "raise_hand";
}

/** Take one's own hand down; staff may take down anybody's. Asked by: attendee, moderator, organiser, presenter, speaker. */
export interface LowerHandCommand {
  t: "lower_hand";
  person?: string;
}

/** Ask an attendee to come on stage; the attendee has a minute to consent. Asked by: moderator, organiser. */
export interface InviteCommand {
  t: "invite";
  person: string;
}

/** Consent to come on stage, or refuse (which only the staff see). Asked by: attendee. */
export interface AnswerInvitationCommand {
  t: "answer_invitation";
  accept: boolean;
}

/** Take hands, or not; closing lowers those that are up. Asked by: moderator, organiser. */
export interface SetHandsCommand {
  t: "set_hands";
  open: boolean;
}

/** Say something in a channel. Asked by: attendee, moderator, organiser, presenter, speaker. */
export interface PostCommand {
  t: "post";
  text: string;
  channel?: "backstage" | "main" | "staff";
  reply_to?: string;
}

/** Change one's own message. Asked by: attendee, moderator, organiser, presenter, speaker. */
export interface EditMessageCommand {
  t: "edit_message";
  id: string;
  text: string;
}

/** Take a message away; its placeholder stays. One's own, or anybody's by staff. Asked by: attendee, moderator, organiser, presenter, speaker. */
export interface DeleteMessageCommand {
  t: "delete_message";
  id: string;
}

/** Add or take back a reaction. Asked by: attendee, moderator, organiser, presenter, speaker. */
export interface ReactCommand {
  t: "react";
  id: string;
  reaction: "clap" | "heart" | "laugh" | "nod" | "think";
  on?: boolean;
}

/** Show a message above its channel, or no longer. Asked by: moderator, organiser. */
export interface PinCommand {
  t: "pin";
  id: string;
  on?: boolean;
}

/** Slow mode, hold-for-review, close; absent fields stay. Asked by: moderator, organiser. */
export interface SetChatRulesCommand {
  t: "set_chat_rules";
  slow?: number | null;
  hold?: boolean | null;
  closed?: boolean | null;
}

/** Post a held message, or drop it. Asked by: moderator, organiser. */
export interface ReviewHeldCommand {
  t: "review_held";
  id: string;
  post: boolean;
}

/** Ask a question. In an *anonymous* session `named` shows one's name to everybody. Asked by: attendee, moderator, organiser, presenter, speaker. */
export interface AskCommand {
  t: "ask";
  text: string;
  addressee?: string;
  named?: boolean;
  anonymity?: "anonymous" | "full" | "named" | null;
}

/** The asker changes a question that waits or was returned; it waits (again) for a moderator. Asked by: attendee, moderator, organiser, presenter, speaker. */
export interface ReviseCommand {
  t: "revise";
  id: string;
  text: string;
}

/** The asker takes a question back, until it is being answered; its words go, from the store too. Asked by: attendee, moderator, organiser, presenter, speaker. */
export interface WithdrawCommand {
  t: "withdraw";
  id: string;
}

/** Vote for an open question, or take the vote back. Not for one's own. Asked by: attendee, moderator, organiser, presenter, speaker. */
export interface VoteCommand {
  t: "vote";
  id: string;
  on?: boolean;
}

/** Mark a question as being looked at, for a minute. A mark warns others; it does not stop them. Asked by: moderator, organiser. */
export interface ClaimQuestionCommand {
  t: "claim";
  id: string;
  version: number;
}

/** Open a pending question to everyone, as it is or with an edit. Asked by: moderator, organiser. */
export interface ApproveCommand {
  t: "approve";
  id: string;
  version: number;
  text?: string | null;
}

/** Give a pending question back to its asker to be revised. Asked by: moderator, organiser. */
export interface ReturnQuestionCommand {
  t: "return_question";
  id: string;
  version: number;
  reason: "duplicate" | "identifies_a_person" | "other" | "out_of_scope" | "out_of_time";
  note?: string;
}

/** Decline a question; the reason is told to its asker only. Asked by: moderator, organiser. */
export interface DeclineCommand {
  t: "decline";
  id: string;
  version: number;
  reason: "duplicate" | "identifies_a_person" | "other" | "out_of_scope" | "out_of_time";
  note?: string;
}

/** Put an open question among the next (at most five), at the end. Asked by: moderator, organiser. */
export interface QueueCommand {
  t: "queue";
  id: string;
  version: number;
}

/** Put a question one step back: next to open, live to the head of next. Asked by: moderator, organiser. */
export interface PutBackCommand {
  t: "put_back";
  id: string;
  version: number;
}

/** Order the next questions; `ids` names all of them, or the order that was seen is old. Asked by: moderator, organiser. */
export interface OrderNextCommand {
  t: "order_next";
  ids: string[];
}

/** Begin to answer: the question is live. One at a time per stage. Asked by: moderator, organiser, presenter, speaker. */
export interface TakeCommand {
  t: "take";
  id: string;
  version: number;
}

/** Mark a question as answered: aloud, later in text, or privately to the asker. Asked by: moderator, organiser, presenter, speaker. */
export interface AnswerCommand {
  t: "answer";
  id: string;
  version: number;
  how?: "live" | "private" | "text";
  text?: string;
}

/** Open a question again that was answered, or declined by mistake. Asked by: moderator, organiser. */
export interface ReopenCommand {
  t: "reopen";
  id: string;
  version: number;
}

/** Merge a question into another; each voter, and the asker, counts once there. Asked by: moderator, organiser. */
export interface MergeCommand {
  t: "merge";
  id: string;
  version: number;
  into: string;
}

/** Say which expert a question is for; an expert may pass it to the colleague. Asked by: moderator, organiser, presenter, speaker. */
export interface AddressCommand {
  t: "address";
  id: string;
  version: number;
  to?: string;
}

/** Give a question the staff's own sorting words (at most five). Asked by: moderator, organiser. */
export interface LabelQuestionCommand {
  t: "label";
  id: string;
  version: number;
  labels: string[];
}

/** Make a chat message into an open question of its author. Asked by: moderator, organiser. */
export interface ConvertMessageCommand {
  t: "convert_message";
  id: string;
}

/** Close questions (votes go on) or freeze everything; absent fields stay. Asked by: moderator, organiser. */
export interface SetQuestionRulesCommand {
  t: "set_question_rules";
  closed?: boolean | null;
  frozen?: boolean | null;
}

/** Prepare a poll; only the staff see it. Asked by: moderator, organiser. */
export interface DraftPollCommand {
  t: "draft_poll";
  poll: PollForm;
}

/** Write a draft anew. What has been opened stays as people saw it. Asked by: moderator, organiser. */
export interface EditPollCommand {
  t: "edit_poll";
  id: string;
  version: number;
  poll: PollForm;
}

/** Throw a draft away. Asked by: moderator, organiser. */
export interface DropPollCommand {
  t: "drop_poll";
  id: string;
  version: number;
}

/** Put a draft to the vote: everybody inside sees it. Asked by: moderator, organiser. */
export interface OpenPollCommand {
  t: "open_poll";
  id: string;
  version: number;
}

/** End the vote, and show the results to everybody, or look at them first (`show` false). Asked by: moderator, organiser. */
export interface ClosePollCommand {
  t: "close_poll";
  id: string;
  version: number;
  show?: boolean;
}

/** Show the results of a closed poll to everybody, or take them off the screens. Asked by: moderator, organiser. */
export interface ShowResultsCommand {
  t: "show_results";
  id: string;
  version: number;
  on?: boolean;
}

/** Take votes again on a poll that was closed too early; the ballots are still in the box. Asked by: moderator, organiser. */
export interface ReopenPollCommand {
  t: "reopen_poll";
  id: string;
  version: number;
}

/** Vote, vote differently, or take the ballot out of the box (no `choices`), while the poll is open. Asked by: attendee, presenter, speaker. */
export interface CastBallotCommand {
  t: "cast_ballot";
  id: string;
  choices: string[];
}

export type AnyCommand =
  | SetStateCommand
  | ChangeSettingsCommand
  | KnockCommand
  | TellReachCommand
  | LeaveCommand
  | AdmitCommand
  | AdmitAllCommand
  | SendBackCommand
  | SayAtDoorCommand
  | RemoveCommand
  | UnblockCommand
  | MuteCommand
  | BringOnCommand
  | TakeOffCommand
  | StepDownCommand
  | MuteSourceCommand
  | SpotlightCommand
  | SetTimerCommand
  | LiftVeilCommand
  | StopEverythingCommand
  | RaiseHandCommand
  | LowerHandCommand
  | InviteCommand
  | AnswerInvitationCommand
  | SetHandsCommand
  | PostCommand
  | EditMessageCommand
  | DeleteMessageCommand
  | ReactCommand
  | PinCommand
  | SetChatRulesCommand
  | ReviewHeldCommand
  | AskCommand
  | ReviseCommand
  | WithdrawCommand
  | VoteCommand
  | ClaimQuestionCommand
  | ApproveCommand
  | ReturnQuestionCommand
  | DeclineCommand
  | QueueCommand
  | PutBackCommand
  | OrderNextCommand
  | TakeCommand
  | AnswerCommand
  | ReopenCommand
  | MergeCommand
  | AddressCommand
  | LabelQuestionCommand
  | ConvertMessageCommand
  | SetQuestionRulesCommand
  | DraftPollCommand
  | EditPollCommand
  | DropPollCommand
  | OpenPollCommand
  | ClosePollCommand
  | ShowResultsCommand
  | ReopenPollCommand
  | CastBallotCommand;

/** The session exists; `promised` is the best anonymity that askers had here before, in a snapshot. Seen by: everyone. */
export interface OpenedEvent {
  t: "opened";
  id: string;
  settings: Settings;
  promised?: "anonymous" | "full" | "named";
}

/** The organiser changed what holds from now on. Seen by: everyone. */
export interface SettingsChangedEvent {
  t: "settings_changed";
  settings: Settings;
}

/** The session moved on (or back behind the curtain). Seen by: everyone. */
export interface StateChangedEvent {
  t: "state_changed";
  state: State;
  at: number;
}

/** Tickets of generations before this one are void; who came in by one is out. Seen by: staff. */
export interface LinksVoidedEvent {
  t: "links_voided";
  generation: number;
}

/** A person's standing changed, as the staff see it. Seen by: staff. */
export interface FiledEvent {
  t: "person_filed";
  person: Person;
}

/** Someone is inside: belongs on everybody's list of people. Seen by: admitted. */
export interface EnteredEvent {
  t: "entered";
  person: string;
  role: Role;
}

/** Someone is no longer inside; why is nobody's business. Seen by: admitted. */
export interface LeftEvent {
  t: "left";
  person: string;
}

/** Where you stand with this room. Seen by: subject. */
export interface YourStandingEvent {
  t: "your_standing";
  to: string;
  standing: Standing;
  at: number;
  text?: string;
}

/** A moderator took (or gave back) your voice in chat and Q&A. Seen by: subject. */
export interface YouWereMutedEvent {
  t: "you_were_muted";
  to: string;
  on: boolean;
}

/** A line was said at the door, as the staff hear it. Seen by: staff. */
export interface DoorSpokenEvent {
  t: "door_spoken";
  line: DoorMessage;
}

/** A line was said at the door, as the visitor hears it. Seen by: subject. */
export interface DoorHeardEvent {
  t: "door_heard";
  to: string;
  line: DoorMessage;
}

/** Somebody had their data deleted: the name goes, and what was said at the door. Seen by: admitted. */
export interface ForgottenEvent {
  t: "person_forgotten";
  person: string;
}

/** What you and the staff said at the door is gone. Seen by: subject. */
export interface YourDoorTalkErasedEvent {
  t: "your_door_talk_erased";
  to: string;
}

/** The card of somebody who is inside, or was, has changed; the new one comes in the same frame. Seen by: admitted. */
export interface CardChangedEvent {
  t: "card_changed";
  person: string;
}

/** The card of somebody whom the staff alone know of has changed; the new one comes in the same frame. Seen by: staff. */
export interface CardAtDoorChangedEvent {
  t: "card_at_door_changed";
  person: string;
}

/** Your own card has changed while you are not inside; the new one comes in the same frame. Seen by: subject. */
export interface YourCardChangedEvent {
  t: "your_card_changed";
  to: string;
}

/** A person has a seat on stage. Seen by: admitted. */
export interface SeatedEvent {
  t: "seated";
  person: string;
}

/** A person is off the stage. Seen by: admitted. */
export interface UnseatedEvent {
  t: "unseated";
  person: string;
}

/** The server lets nothing of this source through, or lets it through again. Seen by: admitted. */
export interface SourceMutedEvent {
  t: "source_muted";
  person: string;
  source: "camera" | "microphone" | "screen";
  on: boolean;
}

/** The stage is veiled: nothing leaves it until the veil is lifted. Seen by: everyone. */
export interface VeiledEvent {
  t: "veiled";
  on: boolean;
}

/** One person fills the stage; an empty id gives it back to all. Seen by: admitted. */
export interface SpotlitEvent {
  t: "spotlit";
  person?: string;
}

/** A countdown began or was taken away. Seen by: admitted. */
export interface TimerSetEvent {
  t: "timer_set";
  timer: Timer;
}

/** Hands may be raised, or not now. Seen by: admitted. */
export interface HandsSetEvent {
  t: "hands_set";
  open: boolean;
}

/** A hand is up; the order of these events is the order of hands. Seen by: admitted. */
export interface HandRaisedEvent {
  t: "hand_raised";
  person: string;
  at: number;
}

/** A hand is no longer up. Seen by: admitted. */
export interface HandLoweredEvent {
  t: "hand_lowered";
  person: string;
}

/** A hand's way to the stage, as the staff see it. Seen by: staff. */
export interface HandFiledEvent {
  t: "hand_filed";
  hand: Hand;
}

/** Where you stand on the way to the stage. Seen by: subject. */
export interface YourHandEvent {
  t: "your_hand";
  to: string;
  state: "checking" | "expired" | "invited" | "off" | "on_stage" | "raised" | "refused";
  until?: number | null;
}

/** A message of the room's chat, as it is now. Seen by: admitted. */
export interface PostedEvent {
  t: "posted";
  message: Message;
}

/** A message behind the curtain, as it is now. Seen by: stage. */
export interface PostedBackstageEvent {
  t: "posted_backstage";
  message: Message;
}

/** A message among the staff, as it is now. Seen by: staff. */
export interface PostedToStaffEvent {
  t: "posted_to_staff";
  message: Message;
}

/** A reaction in the room's chat came or went. Seen by: admitted. */
export interface ReactedEvent {
  t: "reacted";
  id: string;
  person: string;
  reaction: "clap" | "heart" | "laugh" | "nod" | "think";
  on?: boolean;
}

/** A reaction behind the curtain came or went. Seen by: stage. */
export interface ReactedBackstageEvent {
  t: "reacted_backstage";
  id: string;
  person: string;
  reaction: "clap" | "heart" | "laugh" | "nod" | "think";
  on?: boolean;
}

/** A reaction among the staff came or went. Seen by: staff. */
export interface ReactedToStaffEvent {
  t: "reacted_to_staff";
  id: string;
  person: string;
  reaction: "clap" | "heart" | "laugh" | "nod" | "think";
  on?: boolean;
}

/** A message waits for a moderator. Seen by: staff. */
export interface HeldEvent {
  t: "held";
  message: Message;
}

/** Your message waits for a moderator. Seen by: subject. */
export interface YoursHeldEvent {
  t: "yours_held";
  to: string;
  message: Message;
}

/** A held message will not be posted. Seen by: staff. */
export interface HeldDroppedEvent {
  t: "held_dropped";
  id: string;
}

/** Your held message will not be posted. Seen by: subject. */
export interface YoursDroppedEvent {
  t: "yours_dropped";
  to: string;
  id: string;
}

/** What holds for the chat from now on. Seen by: admitted. */
export interface ChatRulesSetEvent {
  t: "chat_rules_set";
  rules: ChatRules;
}

/** A question as it is now, for the staff. Seen by: staff. */
export interface QuestionFiledEvent {
  t: "question_filed";
  question: Question;
}

/** A question as it is now, on everybody's list. Seen by: admitted. */
export interface QuestionListedEvent {
  t: "question_listed";
  question: PublicQuestion;
}

/** A question is off everybody's list; `into` names the one it was merged into. Seen by: admitted. */
export interface QuestionUnlistedEvent {
  t: "question_unlisted";
  id: string;
  into?: string;
}

/** Your question as it is now. Seen by: subject. */
export interface OwnQuestionChangedEvent {
  t: "own_question_changed";
  to: string;
  question: OwnQuestion;
}

/** You voted, or took the vote back. Counts travel as signals; who voted is told to nobody else. Seen by: subject. */
export interface VotedEvent {
  t: "voted";
  to: string;
  id: string;
  on: boolean;
}

/** What holds for questions from now on. Seen by: admitted. */
export interface QuestionRulesSetEvent {
  t: "question_rules_set";
  rules: QuestionRules;
}

/** A poll as it is now, for the staff. Seen by: staff. */
export interface PollFiledEvent {
  t: "poll_filed";
  poll: Poll;
}

/** A draft was thrown away. Seen by: staff. */
export interface PollDroppedEvent {
  t: "poll_dropped";
  id: string;
}

/** A poll as it is now, on everybody's list. Seen by: admitted. */
export interface PollListedEvent {
  t: "poll_listed";
  poll: PublicPoll;
}

/** Your ballot lies in the box like this now; without choices you took it out. Nobody else is told. Seen by: subject. */
export interface BallotCastEvent {
  t: "ballot_cast";
  to: string;
  id: string;
  choices?: string[];
}

/** A staff act, for the staff. Seen by: staff. */
export interface ActRecordedEvent {
  t: "act_recorded";
  act: Act;
}

export type AnyEvent =
  | OpenedEvent
  | SettingsChangedEvent
  | StateChangedEvent
  | LinksVoidedEvent
  | FiledEvent
  | EnteredEvent
  | LeftEvent
  | YourStandingEvent
  | YouWereMutedEvent
  | DoorSpokenEvent
  | DoorHeardEvent
  | ForgottenEvent
  | YourDoorTalkErasedEvent
  | CardChangedEvent
  | CardAtDoorChangedEvent
  | YourCardChangedEvent
  | SeatedEvent
  | UnseatedEvent
  | SourceMutedEvent
  | VeiledEvent
  | SpotlitEvent
  | TimerSetEvent
  | HandsSetEvent
  | HandRaisedEvent
  | HandLoweredEvent
  | HandFiledEvent
  | YourHandEvent
  | PostedEvent
  | PostedBackstageEvent
  | PostedToStaffEvent
  | ReactedEvent
  | ReactedBackstageEvent
  | ReactedToStaffEvent
  | HeldEvent
  | YoursHeldEvent
  | HeldDroppedEvent
  | YoursDroppedEvent
  | ChatRulesSetEvent
  | QuestionFiledEvent
  | QuestionListedEvent
  | QuestionUnlistedEvent
  | OwnQuestionChangedEvent
  | VotedEvent
  | QuestionRulesSetEvent
  | PollFiledEvent
  | PollDroppedEvent
  | PollListedEvent
  | BallotCastEvent
  | ActRecordedEvent;
