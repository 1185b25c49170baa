// Builds dist/snippet.js and dist/snippet.d.ts. With --check: says whether the committed ones are what the source gives, and how big they are.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const TOKEN = "__FIRSTHAND_CONFIG__"; // the server puts the site's settings in its place
const GZIP_BYTES_MAX = 3584;

const here = dirname(fileURLToPath(import.meta.url));
const check = process.argv.includes("--check");
const committed = join(here, "dist");
const out = check ? mkdtempSync(join(tmpdir(), "snippet-")) : committed;

try {
  execFileSync(process.execPath, [join(here, "node_modules/typescript/bin/tsc"), "-p", here, "--outDir", out], { stdio: "inherit" });
  await build({
    entryPoints: [join(here, "src/snippet.ts")],
    outfile: join(out, "snippet.js"),
    bundle: true,
    minify: true,
    format: "esm", // the source is one function that calls itself; it needs no second one around it
    target: "es2020",
    charset: "utf8",
    legalComments: "none",
    logLevel: "warning",
  });

  const script = readFileSync(join(out, "snippet.js"));
  const tokens = script.toString().split(TOKEN).length - 1;
  const gzip = gzipSync(script, { level: 9 }).length;
  console.log(`snippet.js: ${script.length} bytes, ${gzip} bytes gzipped`);
  if (tokens !== 1) throw new Error(`${TOKEN} is in the script ${tokens} times; the server replaces exactly one`);
  if (/\bimport\b|\bexport\b/.test(script)) throw new Error("the script must run as a classic script: it has an import or export");
  if (gzip > GZIP_BYTES_MAX) throw new Error(`more than ${GZIP_BYTES_MAX} bytes gzipped`);
  if (check) {
    for (const name of ["snippet.js", "snippet.d.ts"]) {
      if (!readFileSync(join(out, name)).equals(readFileSync(join(committed, name)))) {
        throw new Error(`dist/${name} is not what src/ gives: run "npm run build" and commit it`);
      }
    }
    console.log("dist/ is what src/ gives");
  }
} catch (problem) {
  console.error(problem.message);
  process.exitCode = 1;
} finally {
  if (check) rmSync(out, { recursive: true });
}
