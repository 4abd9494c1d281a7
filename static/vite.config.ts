import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../live/web/client",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: true,
  },
  server: {
    proxy: { "/api": "http://localhost:8000", "/rooms": { target: "ws://localhost:8000", ws: true } },
  },
  test: { environment: "node", include: ["tests/**/*.test.ts"] },
});
