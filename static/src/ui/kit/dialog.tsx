import { X } from "lucide-preact";
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { text } from "../../i18n/index.ts";
import { Button } from "./button.tsx";

interface Props {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  foot?: ComponentChildren;
  testid?: string | undefined;
}

/** A modal dialog on the browser's own: focus is kept inside and given back, Escape closes the topmost only. */
export function Dialog({ title, onClose, children, foot, testid }: Props) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const dialog = ref.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      class="dialog"
      ref={ref}
      aria-labelledby={id}
      data-testid={testid}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <div class="inner">
        <div class="row between">
          <h2 id={id}>{title}</h2>
          <Button
            variant="quiet"
            icon={<X aria-hidden="true" />}
            label={text().common.close}
            onClick={onClose}
          />
        </div>
        {children}
        {foot && <div class="foot">{foot}</div>}
      </div>
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  words: string;
  yes: string;
  danger?: boolean;
  onYes: () => void;
  onClose: () => void;
  testid?: string;
}

/** Asks once before something that others will notice. */
export function Confirm({ title, words, yes, danger, onYes, onClose, testid }: ConfirmProps) {
  return (
    <Dialog
      title={title}
      onClose={onClose}
      testid={testid}
      foot={
        <>
          <Button onClick={onClose}>{text().common.cancel}</Button>
          <Button
            variant={danger ? "live" : "primary"}
            testid={testid && `${testid}-yes`}
            onClick={() => {
              onYes();
              onClose();
            }}
          >
            {yes}
          </Button>
        </>
      }
    >
      <p>{words}</p>
    </Dialog>
  );
}
