/** Shortest ceiling of a pause between two attempts, in milliseconds. */
export const FLOOR_MS = 500;
/** Longest pause between two attempts, in milliseconds. */
export const CEILING_MS = 15_000;

/**
 * Full-jitter exponential backoff.
 * @param attempt how many attempts have failed so far, from 0
 * @param dice a number in [0, 1)
 * @returns a pause in milliseconds, anywhere between 0 and the ceiling of this attempt
 */
export function backoff(attempt: number, dice: number): number {
  const ceiling = Math.min(CEILING_MS, FLOOR_MS * 2 ** Math.min(attempt, 20));
  return Math.round(dice * ceiling);
}
