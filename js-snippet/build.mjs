// Builds dist/: the core (snippet.js), a part for each shim, consent tool and thing watched (parts/*.js), and the types (snippet.d.ts). With --check: says
// whether the committed ones are what the source gives, and how big they are.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** What the server puts settings and parts in the place of. */
const TOKENS = ["__FIRSTHAND_CONFIG__", "__FIRSTHAND_PARTS__"];
/** The most that each may have, gzipped: a page loads the core and the parts that its site asks for, and no more. */
const GZIP_BYTES_MAX = JSON.parse(readFileSync(new URL("budget.json", import.meta.url), "utf8"));

const here = dirname(fileURLToPath(import.meta.url));
const check = process.argv.includes("--check");
const committed = join(here, "dist");
const out = check ? mkdtempSync(join(tmpdir(), "snippet-")) : committed;

/** What the core's function calls its parameter. */
const LOADED = "$";
const OPTIONS = { define: { LOADED }, bundle: true, minify: true, target: "es2020", charset: "utf8", legalComments: "none", logLevel: "warning", write: false };
const bundle = async (source, format) => (await build({ ...OPTIONS, entryPoints: [join(here, "src", source)], format })).outputFiles[0].text.trim();

/** A part is an expression: what its file exports by default, with what it needs around it; here as a function of what is given. */
async function part(source, given = "") {
  const bundled = await bundle(source, "esm");
  const ending = /;?export\{(\w+) as default\};?$/;
  const name = ending.exec(bundled)?.[1];
  if (!name) throw new Error(`src/${source} has no single default export`);
  return `(${given || "()"}=>{${bundled.replace(ending, "")};return ${name}})`;
}

try {
  const types = mkdtempSync(join(tmpdir(), "types-"));
  execFileSync(process.execPath, [join(here, "node_modules/typescript/bin/tsc"), "-p", here, "--outDir", types], { stdio: "inherit" });
  mkdirSync(join(out, "parts"), { recursive: true });
  copyFileSync(join(types, "api.d.ts"), join(out, "snippet.d.ts"));
  rmSync(types, { recursive: true });

  const core = await part("start.ts", LOADED);
  const built = { "snippet.js": (await bundle("snippet.ts", "iife")).replace("__FIRSTHAND_CORE__", () => core) };
  for (const folder of ["shims", "tools", "watch"]) {
    const sources = readdirSync(join(here, "src", folder)).filter((name) => readFileSync(join(here, "src", folder, name), "utf8").includes("export default"));
    for (const name of sources.sort()) built[`parts/${name.replace(/\.ts$/, ".js")}`] = `${await part(`${folder}/${name}`)}()`;
  }
  for (const [name, script] of Object.entries(built)) {
    writeFileSync(join(out, name), `${script}\n`);
    const gzip = gzipSync(script, { level: 9 }).length;
    console.log(`${name}: ${script.length} bytes, ${gzip} gzipped`);
    if (/\bimport\b|\bexport\b/.test(script)) throw new Error(`${name} must run as a classic script: it has an import or export`);
    if (/\beval\b|new Function|innerHTML|document\.write/.test(script)) throw new Error(`${name} has what a strict page forbids`);
    const most = GZIP_BYTES_MAX[name];
    if (!(gzip <= most)) throw new Error(`${name} has ${gzip} bytes gzipped; budget.json allows ${most ?? "no such part"}`);
    for (const token of TOKENS) {
      const times = script.split(token).length - 1;
      if (times !== (name === "snippet.js" ? 1 : 0)) throw new Error(`${token} is in ${name} ${times} times; the server replaces exactly one`);
    }
  }
  const gone = Object.keys(GZIP_BYTES_MAX).filter((name) => !built[name]);
  if (gone.length) throw new Error(`budget.json names what is not built: ${gone}`);
  if (check) {
    for (const name of [...Object.keys(built), "snippet.d.ts"]) {
      const file = join(committed, name);
      if (!existsSync(file) || !readFileSync(join(out, name)).equals(readFileSync(file))) {
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
