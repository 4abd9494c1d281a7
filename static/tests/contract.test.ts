import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const SRC = join(import.meta.dirname, "../src");

function files(folder: string): string[] {
  return readdirSync(join(SRC, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => join(folder, name));
}

/** What core must not touch: the view library, the screens, the document. */
function trespasses(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
  const imports = [...code.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((found) => found[1] ?? "");
  const foreign = imports.filter((name) => !name.startsWith("./") && name !== "../protocol.gen.ts");
  const dom =
    code.match(/\b(?:document|window|localStorage|sessionStorage|navigator|location)\s*[.[]/g) ?? [];
  return [...foreign, ...dom];
}

test.each(files("core"))("%s knows neither Preact nor the page", (name) => {
  expect(trespasses(readFileSync(join(SRC, name), "utf8"))).toEqual([]);
});

test("the scan finds what it is for", () => {
  expect(trespasses('import { signal } from "@preact/signals";')).toEqual(["@preact/signals"]);
  expect(trespasses('import { h } from "preact";')).toEqual(["preact"]);
  expect(trespasses('import { Button } from "../ui/kit/button.tsx";')).toEqual(["../ui/kit/button.tsx"]);
  expect(trespasses('const lazy = import("preact/hooks");')).toEqual(["preact/hooks"]);
  expect(trespasses("document.title = '';")).toEqual(["document."]);
});

test.each(["core", "ui", "i18n"].flatMap(files))("%s puts no markup together from strings", (name) => {
  const code = readFileSync(join(SRC, name), "utf8");
  expect(code).not.toMatch(
    /innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySetInnerHTML|\beval\(/,
  );
});
