import {
  ClipboardCopy,
  Clock,
  Ellipsis,
  Heart,
  Laugh,
  Lightbulb,
  MessageCircle,
  MessageCircleQuestion,
  PartyPopper,
  Pencil,
  Pin,
  PinOff,
  Reply,
  ThumbsUp,
  Trash2,
  TriangleAlert,
  X,
} from "lucide-preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { calls } from "../core/mentions.ts";
import type { Item } from "../core/outbox.ts";
import { pieces } from "../core/text.ts";
import { type AnyCommand, type Channel, Level, type Message } from "../core/wire.ts";
import { text } from "../i18n/index.ts";
import { useDraft } from "./drafts.ts";
import { clock, count } from "./format.ts";
import { Avatar, Badge, Empty, Notice } from "./kit/bits.tsx";
import { Button } from "./kit/button.tsx";
import { AnchoredList } from "./kit/list.tsx";
import { Menu } from "./kit/menu.tsx";
import { tick } from "./page.ts";
import { SendBox } from "./sendbox.tsx";
import { useVisit } from "./visit.ts";

const MOST = 1000;
const REACTIONS = { heart: Heart, nod: ThumbsUp, clap: PartyPopper, laugh: Laugh, think: Lightbulb } as const;
type ReactionName = keyof typeof REACTIONS;

/** Plain text with links, and nothing else. */
export function Words({ children }: { children: string }) {
  return (
    <span class="prewrap">
      {pieces(children).map((piece, i) =>
        piece.kind === "link" ? (
          <a key={i} href={piece.href} target="_blank" rel="noopener noreferrer nofollow">
            {piece.text}
          </a>
        ) : (
          piece.text
        ),
      )}
    </span>
  );
}

/** One channel: its list, its pins, its composer. */
export function Chat({ channel, onSeen }: { channel: Channel; onSeen?: () => void }) {
  const visit = useVisit();
  const t = text().chat;
  const { messages, more } = visit.room.value.chat[channel];
  const [replyTo, setReplyTo] = useState<Message | null>(null);
  const [editing, setEditing] = useState<Message | null>(null);
  const pending = usePending(channel);
  const held = channel === "main" ? visit.room.value.mine.held : [];
  const dropped = channel === "main" ? visit.room.value.mine.dropped : [];
  const pins = messages.filter((message) => message.pinned);
  useEffect(() => onSeen?.(), [messages.length]);
  const empty = { main: t.empty, backstage: t.emptyBackstage, staff: t.emptyStaff }[channel];
  return (
    <div class="chat">
      {pins.length > 0 && (
        <ul class="pins" aria-label={t.pinned}>
          {pins.map((message) => (
            <li key={message.id}>
              <Pin size={14} aria-hidden="true" />
              <span class="grow clip">
                <span class="strong">{visit.card(message.author).name}</span> {message.text}
              </span>
              {visit.isStaff.value && (
                <Button
                  variant="quiet"
                  size="small"
                  icon={<PinOff aria-hidden="true" />}
                  label={t.unpin}
                  onClick={() => void visit.ask({ t: "pin", id: message.id, on: false })}
                />
              )}
            </li>
          ))}
        </ul>
      )}
      <AnchoredList
        count={messages.length + pending.length + held.length}
        own={pending.length}
        label={t.title}
        testid={`messages-${channel}`}
        onStart={more ? () => visit.older(channel) : undefined}
      >
        {more && (
          <div class="older">
            <Button size="small" onClick={() => visit.older(channel)}>
              {t.older}
            </Button>
          </div>
        )}
        {messages.length + pending.length + held.length === 0 && (
          <Empty icon={<MessageCircle aria-hidden="true" />}>{empty}</Empty>
        )}
        <ol class="messages">
          {messages.map((message, i) => (
            <MessageRow
              key={message.id}
              message={message}
              follows={follows(messages[i - 1], message)}
              onReply={() => setReplyTo(message)}
              onEdit={() => setEditing(message)}
            />
          ))}
          {held.map((message) => (
            <li class="message pending" key={message.id}>
              <span class="message-side" />
              <div class="message-body">
                <Words>{message.text}</Words>
                <span class="row tight small soft">
                  <Clock size={14} aria-hidden="true" />
                  {t.held}
                </span>
              </div>
            </li>
          ))}
          {dropped.map((message) => (
            <li class="message pending" key={message.id} data-testid="message-dropped">
              <span class="message-side" />
              <div class="message-body">
                <Words>{message.text}</Words>
                <span class="small soft">{t.dropped}</span>
              </div>
            </li>
          ))}
          {pending.map((item) => (
            <PendingRow key={item.nonce} item={item} />
          ))}
        </ol>
      </AnchoredList>
      <Composer
        channel={channel}
        replyTo={replyTo}
        editing={editing}
        onDone={() => {
          setReplyTo(null);
          setEditing(null);
        }}
        onFailed={(message, words) => setEditing({ ...message, text: words })}
      />
    </div>
  );
}

/** Own messages on their way, without those whose message has already come back. */
function usePending(channel: Channel): Item<AnyCommand>[] {
  const visit = useVisit();
  const mine = visit.room.value.chat[channel].messages
    .slice(-20)
    .filter((each) => each.author === visit.myId.value);
  const skew = visit.view.value?.skew ?? 0;
  return visit.items.value.filter((item) => {
    const { cmd } = item;
    if (cmd.t !== "post" || (cmd.channel ?? "main") !== channel) return false;
    return !mine.some((message) => message.text === cmd.text.trim() && message.at >= item.at + skew - 1500);
  });
}

function follows(before: Message | undefined, message: Message): boolean {
  return (
    before !== undefined &&
    before.author === message.author &&
    !message.reply_to &&
    message.at - before.at < 180_000 &&
    !before.deleted
  );
}

interface RowProps {
  message: Message;
  follows: boolean;
  onReply: () => void;
  onEdit: () => void;
}

function MessageRow({ message, follows: joined, onReply, onEdit }: RowProps) {
  const visit = useVisit();
  const t = text();
  const author = visit.card(message.author);
  const mine = message.author === visit.myId.value;
  const called = !mine && calls(message.text, visit.card(visit.myId.value).name);
  const quoted = message.reply_to
    ? visit.room.value.chat[message.channel].messages.find((each) => each.id === message.reply_to)
    : undefined;
  return (
    <li
      class={`message ${joined ? "joined" : ""} ${mine ? "mine" : ""} ${called ? "called" : ""}`}
      data-testid="message"
      data-message={message.id}
    >
      <span class="message-side">{!joined && <Avatar id={message.author} name={author.name} />}</span>
      <div class="message-body">
        {!joined && (
          <div class="message-head">
            <span class="strong clip">{author.name}</span>
            {author.alike && <Badge tone="warn">{t.alike}</Badge>}
            {author.role !== "attendee" && <Badge tone="accent">{t.roles[author.role]}</Badge>}
            {author.profession && <span class="small soft clip">{author.profession}</span>}
            <time class="small soft num" dateTime={new Date(message.at).toISOString()}>
              {clock(message.at)}
            </time>
          </div>
        )}
        {quoted && (
          <p class="quote small clip">
            <Reply size={12} aria-hidden="true" />{" "}
            <span class="strong">{visit.card(quoted.author).name}</span>{" "}
            {quoted.deleted ? t.chat.deletedAuthor : quoted.text}
          </p>
        )}
        {message.deleted ? (
          <span class="soft small deleted">
            {message.deleted === "staff" ? t.chat.deletedStaff : t.chat.deletedAuthor}
          </span>
        ) : (
          <>
            <Words>{message.text}</Words>
            {message.edited ? <span class="small soft">{t.common.aside(t.chat.edited)}</span> : null}
          </>
        )}
        <Reactions message={message} />
      </div>
      {!message.deleted && <MessageMenu message={message} mine={mine} onReply={onReply} onEdit={onEdit} />}
    </li>
  );
}

function Reactions({ message }: { message: Message }) {
  const visit = useVisit();
  const t = text().chat.reactions;
  const found = Object.entries(message.reactions ?? {}) as [ReactionName, string[]][];
  if (found.length === 0) return null;
  return (
    <div class="reactions">
      {found.map(([reaction, people]) => {
        const Icon = REACTIONS[reaction] ?? Heart;
        const mine = people.includes(visit.myId.value);
        return (
          <button
            type="button"
            key={reaction}
            class="reaction"
            aria-pressed={mine}
            aria-label={`${t[reaction]} ${people.length}`}
            title={t[reaction]}
            onClick={() => void visit.ask({ t: "react", id: message.id, reaction, on: !mine })}
          >
            <Icon size={14} aria-hidden="true" />
            <span class="num">{count(people.length)}</span>
          </button>
        );
      })}
    </div>
  );
}

function MessageMenu({ message, mine, onReply, onEdit }: Omit<RowProps, "follows"> & { mine: boolean }) {
  const visit = useVisit();
  const t = text().chat;
  const staff = visit.isStaff.value;
  const react = (reaction: ReactionName) => {
    const Icon = REACTIONS[reaction];
    const on = !message.reactions?.[reaction]?.includes(visit.myId.value);
    return {
      label: t.reactions[reaction],
      icon: <Icon aria-hidden="true" />,
      testid: `react-${reaction}`,
      onChoose: () => void visit.ask({ t: "react", id: message.id, reaction, on }),
    };
  };
  return (
    <div class="message-menu">
      <Menu
        label={text().common.more}
        icon={<Ellipsis aria-hidden="true" />}
        testid="message-menu"
        items={[
          { label: t.reply, icon: <Reply aria-hidden="true" />, testid: "reply", onChoose: onReply },
          react("heart"),
          react("nod"),
          react("clap"),
          react("laugh"),
          react("think"),
          {
            label: t.copyText,
            icon: <ClipboardCopy aria-hidden="true" />,
            onChoose: () => void navigator.clipboard?.writeText(message.text),
          },
          mine && { label: t.edit, icon: <Pencil aria-hidden="true" />, testid: "edit", onChoose: onEdit },
          staff && {
            label: message.pinned ? t.unpin : t.pin,
            icon: <Pin aria-hidden="true" />,
            testid: "pin",
            onChoose: () => void visit.ask({ t: "pin", id: message.id, on: !message.pinned }),
          },
          staff &&
            message.channel === "main" && {
              label: t.toQuestion,
              icon: <MessageCircleQuestion aria-hidden="true" />,
              testid: "to-question",
              onChoose: () => void visit.ask({ t: "convert_message", id: message.id }),
            },
          (mine || staff) && {
            label: t.delete,
            icon: <Trash2 aria-hidden="true" />,
            danger: true,
            testid: "delete",
            onChoose: () => void visit.ask({ t: "delete_message", id: message.id }),
          },
        ]}
      />
    </div>
  );
}

function PendingRow({ item }: { item: Item<AnyCommand> }) {
  const visit = useVisit();
  const t = text();
  if (item.cmd.t !== "post") return null;
  const failed = item.state === "failed";
  const wait = item.retryAt ? Math.ceil((item.retryAt - tick.value) / 1000) : 0;
  return (
    <li
      class={`message pending ${failed ? "failed" : ""}`}
      data-testid="message-pending"
      data-state={item.state}
    >
      <span class="message-side" />
      <div class="message-body">
        <Words>{item.cmd.text}</Words>
        <span class="row wrap tight small">
          {failed ? (
            <>
              <TriangleAlert size={14} aria-hidden="true" />
              <span>
                {t.chat.failed}：{t.refusals[item.why ?? ""] ?? t.refusedOther}
              </span>
              <Button
                size="small"
                testid="resend"
                blocked={wait > 0 ? t.chat.slow(wait) : null}
                onClick={() => visit.resend(item.nonce)}
              >
                {t.chat.resend}
              </Button>
              <Button size="small" variant="quiet" testid="discard" onClick={() => visit.discard(item.nonce)}>
                {t.chat.discard}
              </Button>
            </>
          ) : (
            <span class="row tight soft">
              <Clock size={14} aria-hidden="true" />
              {visit.connected.value ? t.chat.sending : t.chat.queued}
            </span>
          )}
        </span>
      </div>
    </li>
  );
}

interface ComposerProps {
  channel: Channel;
  replyTo: Message | null;
  editing: Message | null;
  onDone: () => void;
  /** An edit was refused: its words come back to the composer. */
  onFailed: (message: Message, words: string) => void;
}

function Composer({ channel, replyTo, editing, onDone, onFailed }: ComposerProps) {
  const visit = useVisit();
  const t = text().chat;
  const [draft, setDraft] = useDraft(`chat.${channel}`);
  const [edit, setEdit] = useState("");
  const area = useRef<HTMLTextAreaElement>(null);
  const typed = useRef(0);
  useEffect(() => {
    if (editing) setEdit(editing.text);
    if (editing || replyTo) area.current?.focus();
  }, [editing, replyTo]);
  const room = visit.room.value;
  const { rules } = room.chat;
  const exempt = visit.isStaff.value;
  const wait = useSlowWait(channel);
  let blocked: string | null = null;
  if (channel === "main" && !exempt) {
    if (room.mine.muted) blocked = text().room.mutedNote;
    else if (rules.closed) blocked = t.closed;
    else if (wait > 0) blocked = t.slow(wait);
  }
  const attendee = visit.level.value === Level.ADMITTED;
  const send = () => {
    if (editing) {
      const [target, words] = [editing, edit];
      void visit.ask({ t: "edit_message", id: target.id, text: words.trim() }).then(({ ok }) => {
        if (!ok) onFailed(target, words);
      });
    } else {
      void visit.ask({
        t: "post",
        text: draft.trim(),
        channel,
        ...(replyTo ? { reply_to: replyTo.id } : {}),
      });
      setDraft("");
    }
    onDone();
  };
  const names = Object.keys(room.inside)
    .filter((person) => person !== visit.myId.value)
    .map((person) => visit.card(person).name);
  const typing = visit.view.value?.signals.typing?.filter((person) => person !== visit.myId.value) ?? [];
  return (
    <div class="composer">
      {channel === "main" && blocked && (
        <Notice tone="warn" role="status">
          <span class="num">{blocked}</span>
        </Notice>
      )}
      {channel === "main" && !blocked && rules.hold && attendee && <p class="small soft">{t.holdOn}</p>}
      {channel === "main" && !blocked && rules.slow > 0 && attendee && (
        <p class="small soft num">{t.slowOn(rules.slow)}</p>
      )}
      {channel === "main" && typing.length > 0 && (
        <p class="small soft typing clip">{t.typing(typing.map((person) => visit.card(person).name))}</p>
      )}
      {(replyTo || editing) && (
        <div class="row composer-about small">
          <span class="grow clip">
            {editing ? t.editing : replyTo ? t.replyTo(visit.card(replyTo.author).name) : ""}
          </span>
          <Button
            variant="quiet"
            size="small"
            icon={<X aria-hidden="true" />}
            label={text().common.cancel}
            onClick={onDone}
          />
        </div>
      )}
      <SendBox
        label={t.label}
        area={area}
        value={editing ? edit : draft}
        most={MOST}
        placeholder={t.placeholderTo[channel]}
        blocked={blocked}
        testid={channel === "main" ? "composer" : `composer-${channel}`}
        sendTestid={channel === "main" ? "send" : `send-${channel}`}
        onInput={(value) => {
          if (editing) setEdit(value);
          else setDraft(value);
          if (channel === "main" && Date.now() - typed.current > 3000) {
            typed.current = Date.now();
            visit.typing();
          }
        }}
        onSend={send}
        names={names}
        {...(replyTo || editing ? { onEscape: onDone } : {})}
      />
    </div>
  );
}

/** Seconds until slow mode lets this person write again. */
function useSlowWait(channel: Channel): number {
  const visit = useVisit();
  const { rules, main } = visit.room.value.chat;
  if (channel !== "main" || rules.slow === 0 || visit.level.value !== Level.ADMITTED) return 0;
  const posted = main.messages.findLast((message) => message.author === visit.myId.value)?.at ?? 0;
  const last = Math.max(posted, visit.room.value.mine.held.at(-1)?.at ?? 0);
  return Math.max(0, Math.ceil((last + rules.slow * 1000 - visit.now.value) / 1000));
}
