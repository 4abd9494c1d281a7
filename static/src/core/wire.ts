/** The wire's types under the names this client uses; all are printed from the server's own message classes. */
import type {
  Message,
  MuteSourceCommand,
  Question,
  ServerFrame,
  SignalFrame,
  SignalsFrame,
  StageFrame,
  TallyFrame,
} from "../protocol.gen.ts";

export type {
  Act,
  AnyCommand,
  AnyEvent,
  Card,
  ChatRules,
  DoorMessage,
  Hand,
  Kind,
  Message,
  Option,
  OwnQuestion,
  Person,
  Poll,
  PollForm,
  PublicPoll,
  PublicQuestion,
  Question,
  QuestionRules,
  Reach,
  Role,
  Seen,
  Settings,
  Standing,
  State,
  Timer,
  You,
} from "../protocol.gen.ts";
export { CLOSE, Level, LIMITS, MAY_ASK, SUBPROTOCOL, VERSION } from "../protocol.gen.ts";

export type Frame = ServerFrame;
export type FrameOf<T extends Frame["t"]> = Extract<Frame, { t: T }>;
export type Channel = Message["channel"];
export type Reason = NonNullable<Question["reason"]>;
export type SignalKind = SignalFrame["kind"];
export type Signals = Omit<SignalsFrame, "t">;
export type Tally = Omit<TallyFrame, "t" | "poll">;
export type StageView = Omit<StageFrame, "t">;
/** What can be muted of somebody on stage. */
export type StageSource = MuteSourceCommand["source"];
