// Starts the built program as a person would (no configuration), runs the browser test against it, and ends it.
// FIRSTHAND_BINARY names another binary; SCREENSHOTS a directory for pictures of what a person sees.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const START_MS_MAX = 30_000;
const STOP_MS_MAX = 15_000;
const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");

/** The newest build, unless one is named. */
function binary() {
  if (process.env.FIRSTHAND_BINARY) return process.env.FIRSTHAND_BINARY;
  const builds = ["release", "debug"].map((profile) => join(root, "target", profile, "firsthand"));
  const built = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const [newest] = builds.sort((one, other) => built(other) - built(one));
  if (!built(newest)) throw new Error("there is no target/release/firsthand or target/debug/firsthand: cargo build --release");
  return newest;
}

/** Free ports. Known before the start, since the demonstration's origins have them in their names. */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}

async function ready(admin, program) {
  for (const start = Date.now(); Date.now() - start < START_MS_MAX; await pause(100)) {
    if (program.exitCode !== null) throw new Error(`it ended at once, with ${program.exitCode}`);
    const reply = await fetch(`${admin}/healthz`).catch(() => undefined);
    if (reply?.ok) return;
  }
  throw new Error(`${admin}/healthz did not answer 200 within ${START_MS_MAX / 1000} s`);
}

const data = mkdtempSync(join(tmpdir(), "firsthand-"));
const [plain, tls, admin] = await freePorts(3);
const path = binary();
const flags = ["--listen", `127.0.0.1:${plain}`, "--tls-listen", `127.0.0.1:${tls}`, "--admin-listen", `127.0.0.1:${admin}`, "--data-dir", join(data, "data")];
console.log(`${path} ${flags.join(" ")}`);
let output = "";
// Started in a directory of its own: no configuration is found there, and what it makes beside its data goes with it.
const program = spawn(path, flags, { cwd: data, stdio: ["ignore", "pipe", "pipe"] });
for (const stream of [program.stdout, program.stderr]) stream.on("data", (piece) => { output = (output + piece).slice(-64 * 1024); });
program.on("error", (problem) => { output += problem.message; });
const ended = once(program, "exit");

let failed = true;
try {
  await ready(`http://127.0.0.1:${admin}`, program);
  const environment = {
    ...process.env,
    FIRSTHAND_SITE: `http://127.0.0.1:${plain}`,
    FIRSTHAND_TLS_SITE: `https://127.0.0.1:${tls}`,
    FIRSTHAND_ADMIN: `http://127.0.0.1:${admin}`,
    FIRSTHAND_DATA: join(data, "data"),
  };
  const test = spawn(process.execPath, ["--test", "--test-reporter=spec", join(here, "demonstration.mjs")], { env: environment, stdio: "inherit" });
  [failed] = await once(test, "exit");
} catch (problem) {
  console.error(problem.message);
}
if (program.exitCode === null) {
  program.kill("SIGTERM");
  const [code] = await Promise.race([ended, pause(STOP_MS_MAX, ["no end"])]);
  if (code !== 0) {
    console.error(`after SIGTERM it should end with 0 within ${STOP_MS_MAX / 1000} s; it was: ${code}`);
    failed = true;
    program.kill("SIGKILL");
  }
}
if (failed) console.error(`--- what the program printed\n${output}`);
rmSync(data, { recursive: true, force: true, maxRetries: 5 });
process.exitCode = failed ? 1 : 0;
