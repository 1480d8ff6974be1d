// Builds both pages and headrace.js. The same sources give the same bytes: names hold a hash of the content, and nothing a date.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { gzip } from "./gzip.ts";

// Where the built files go: into the Python package, or where a test compares them.
const folder = process.env["PAGE_OUT"] ?? "../src/headrace/web/static";

export default defineConfig({
  base: "/",
  publicDir: false,
  plugins: [gzip(folder)],
  resolve: { alias: { entities: fileURLToPath(new URL("src/markdown/entities.ts", import.meta.url)) } },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: folder,
    emptyOutDir: true,
    target: ["chrome123", "firefox121", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      input: { index: "index.html", dashboard: "dashboard.html", headrace: "src/headrace.ts" },
      // What headrace.js exports is for pages of others too.
      preserveEntrySignatures: "exports-only",
      output: {
        entryFileNames: (chunk) => (chunk.name === "headrace" ? "headrace.js" : "assets/[name]-[hash].js"),
        chunkFileNames: "assets/[name]-[hash].js",
        assetFileNames: "assets/[name]-[hash][extname]",
      },
    },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8003", "/v1": "http://127.0.0.1:8003" } },
});
