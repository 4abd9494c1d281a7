import { expect, test } from "vitest";
import { backoff, CEILING_MS, FLOOR_MS } from "../../src/core/backoff.ts";

test("a pause is anywhere below a ceiling that doubles from 0.5 s to 15 s", () => {
  expect(backoff(0, 0)).toBe(0);
  expect(backoff(0, 0.999)).toBeLessThanOrEqual(FLOOR_MS);
  expect(backoff(1, 0.999)).toBeGreaterThan(FLOOR_MS * 0.9);
  expect(backoff(50, 0.999)).toBeLessThanOrEqual(CEILING_MS);
  expect(backoff(50, 0.999)).toBeGreaterThan(CEILING_MS * 0.9);
});

test("the jitter is full: half the dice, half the pause", () => {
  for (const attempt of [0, 1, 2, 3, 4]) {
    expect(backoff(attempt, 0.5)).toBe(Math.round(backoff(attempt, 1) / 2));
  }
});
