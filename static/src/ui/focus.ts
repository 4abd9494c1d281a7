/** What names an item wherever it is drawn. */
const KEYS = ["data-question", "data-message", "data-person-id"] as const;

/** The selector under which the item that holds `element` will be found again. */
function itemOf(element: Element): string | null {
  for (const key of KEYS) {
    const item = element.closest(`[${key}]`);
    const testid = item?.getAttribute("data-testid");
    if (item && testid)
      return `[data-testid="${testid}"][${key}="${CSS.escape(item.getAttribute(key) ?? "")}"]`;
  }
  return null;
}

function take(element: HTMLElement): void {
  if (!element.hasAttribute("tabindex")) element.tabIndex = -1;
  element.focus({ preventScroll: true });
}

/**
 * Never loses the focus to an update: when the focused element is taken off the page, the focus goes to the same item
 * where it is drawn now, or else to the nearest of its surroundings that is still there.
 */
export function keepFocus(): void {
  let last: Element | null = null;
  let item: string | null = null;
  let around: HTMLElement[] = [];
  document.addEventListener("focusin", ({ target }) => {
    if (!(target instanceof Element) || target === document.body) return;
    last = target;
    item = itemOf(target);
    around = [];
    for (let up = target.parentElement; up && up !== document.body; up = up.parentElement) around.push(up);
  });
  document.addEventListener("focusout", ({ target, relatedTarget }) => {
    // Given away on purpose (a click on nothing): there is nothing to bring back.
    if (relatedTarget === null) {
      queueMicrotask(() => {
        if (last === target && last?.isConnected) last = null;
      });
    }
  });
  new MutationObserver(() => {
    if (!last || last.isConnected) return;
    if (document.activeElement && document.activeElement !== document.body) return;
    const again = item ? [...document.querySelectorAll<HTMLElement>(item)] : [];
    const home =
      again.find((each) => each.offsetParent !== null) ??
      around.find((each) => each.isConnected && each.offsetParent !== null && each.id !== "app");
    last = null;
    if (home) take(home);
  }).observe(document.body, { childList: true, subtree: true });
}
