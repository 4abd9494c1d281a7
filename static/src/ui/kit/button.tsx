import type { ComponentChildren, JSX } from "preact";
import { say } from "./toast.tsx";

type Variant = "primary" | "secondary" | "quiet" | "danger" | "live";

interface Props {
  children?: ComponentChildren;
  variant?: Variant;
  size?: "small" | "large" | undefined;
  icon?: ComponentChildren;
  /** Accessible name, needed when there is only an icon. */
  label?: string | undefined;
  pressed?: boolean | undefined;
  expanded?: boolean | undefined;
  pending?: boolean | undefined;
  /** Why the control cannot work now: it stays in reach and says so. */
  blocked?: string | null | undefined;
  block?: boolean;
  type?: "button" | "submit";
  testid?: string | undefined;
  keys?: string;
  class?: string;
  onClick?: (event: JSX.TargetedMouseEvent<HTMLButtonElement>) => void;
}

/** The one button: its pending, blocked and pressed forms included. */
export function Button(props: Props) {
  const { variant = "secondary", icon, children, blocked, pending } = props;
  const iconOnly = icon !== undefined && children === undefined;
  const classes = ["button", variant, props.size, iconOnly && "icon", props.block && "block", props.class];
  return (
    <button
      type={props.type ?? "button"}
      class={classes.filter(Boolean).join(" ")}
      aria-label={props.label}
      aria-pressed={props.pressed}
      aria-expanded={props.expanded}
      aria-disabled={blocked || pending ? "true" : undefined}
      aria-busy={pending || undefined}
      aria-keyshortcuts={props.keys}
      title={blocked ?? (iconOnly ? props.label : undefined)}
      data-testid={props.testid}
      onClick={(event) => {
        if (pending) {
          event.preventDefault();
        } else if (blocked) {
          event.preventDefault();
          say(blocked);
        } else {
          props.onClick?.(event);
        }
      }}
    >
      {pending ? <span class="spin" aria-hidden="true" /> : icon}
      {children}
    </button>
  );
}
