import { CircleAlert } from "lucide-preact";
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface FieldProps {
  label: string;
  hint?: ComponentChildren;
  error?: string | null | undefined;
  children: (ids: { id: string; describedby: string | undefined; invalid: boolean }) => ComponentChildren;
}

/** A labelled control with its hint and its error. */
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ") || undefined;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, describedby: described, invalid: Boolean(error) })}
      {hint && (
        <span class="hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
      {error && (
        <span class="error" id={`${id}-error`} role="alert">
          <CircleAlert size={16} aria-hidden="true" />
          {error}
        </span>
      )}
    </div>
  );
}

interface TextProps {
  label: string;
  value: string;
  onInput: (value: string) => void;
  hint?: ComponentChildren;
  error?: string | null | undefined;
  type?: "text" | "number" | "datetime-local";
  placeholder?: string;
  maxLength?: number;
  min?: number;
  max?: number;
  autoComplete?: "name" | "off" | "organization-title";
  required?: boolean;
  /** Shown, not to be changed. */
  readOnly?: boolean;
  testid?: string;
}

export function TextField(props: TextProps) {
  return (
    <Field label={props.label} hint={props.hint} error={props.error}>
      {({ id, describedby, invalid }) => (
        <input
          class="input"
          id={id}
          type={props.type ?? "text"}
          value={props.value}
          placeholder={props.placeholder}
          maxLength={props.maxLength}
          min={props.min}
          max={props.max}
          required={props.required}
          readOnly={props.readOnly}
          autoComplete={props.autoComplete ?? "off"}
          aria-describedby={describedby}
          aria-invalid={invalid}
          data-testid={props.testid}
          onInput={(event) => props.onInput(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

interface SelectProps<V extends string> {
  label: string;
  value: V;
  options: readonly { value: V; label: string }[];
  onChange: (value: V) => void;
  hint?: ComponentChildren;
  testid?: string;
}

export function Select<V extends string>(props: SelectProps<V>) {
  return (
    <Field label={props.label} hint={props.hint}>
      {({ id, describedby }) => (
        <select
          class="select"
          id={id}
          value={props.value}
          aria-describedby={describedby}
          data-testid={props.testid}
          onChange={(event) => props.onChange(event.currentTarget.value as V)}
        >
          {props.options.map((option) => (
            <option key={option.value} value={option.value}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface ChoicesProps<V extends string> {
  legend: string;
  value: V;
  options: readonly { value: V; label: string; hint?: string }[];
  onChange: (value: V) => void;
  /** The legend stands above already, as a title. */
  titled?: boolean | undefined;
  testid?: string;
}

/** One of a few, all in sight, each with a sentence. */
export function Choices<V extends string>(props: ChoicesProps<V>) {
  const name = useId();
  return (
    <fieldset class={`choices ${props.titled ? "titled" : ""}`}>
      <legend>{props.legend}</legend>
      {props.options.map((option) => (
        <label class="choice" key={option.value}>
          <input
            type="radio"
            name={name}
            value={option.value}
            checked={option.value === props.value}
            data-testid={props.testid && `${props.testid}-${option.value}`}
            onChange={() => props.onChange(option.value)}
          />
          <span>
            {option.label}
            {option.hint && <span class="small soft choice-hint">{option.hint}</span>}
          </span>
        </label>
      ))}
    </fieldset>
  );
}

interface SwitchProps {
  label: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
  testid?: string;
}

export function Switch(props: SwitchProps) {
  return (
    <label class="switch">
      <input
        type="checkbox"
        checked={props.checked}
        data-testid={props.testid}
        onChange={(event) => props.onChange(event.currentTarget.checked)}
      />
      <span>{props.label}</span>
    </label>
  );
}
