// The built program, started as a person would and ended with SIGTERM. FIRSTHAND_BINARY names another binary.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const START_MS_MAX = 30_000;
const STOP_MS_MAX = 15_000;
const OUTPUT_CHARS_MAX = 64 * 1024;
const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** The newest build, unless one is named. */
function binary() {
  if (process.env.FIRSTHAND_BINARY) return process.env.FIRSTHAND_BINARY;
  const builds = ["release", "debug"].map((profile) => join(root, "target", profile, "firsthand"));
  const built = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const [newest] = builds.sort((one, other) => built(other) - built(one));
  if (!built(newest)) throw new Error("there is no target/release/firsthand or target/debug/firsthand: cargo build --release");
  return newest;
}

/** Runs one of its commands to its end; what it printed. */
export function command(...parameters) {
  return execFileSync(binary(), parameters, { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" });
}

/** The same, with something on its standard input. */
export function commandWith(input, ...parameters) {
  return execFileSync(binary(), parameters, { input, stdio: ["pipe", "pipe", "inherit"], encoding: "utf8" });
}

/** Free ports. Known before the start, since the demonstration's origins have them in their names. */
export async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}

/** Starts it in a directory, and waits until it is ready. `stop` says what went wrong at the end, if anything did. */
export async function startProgram(flags, directory, admin) {
  const path = binary();
  console.log(`${path} ${flags.join(" ")}`);
  const program = spawn(path, flags, { cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
  const started = {
    output: "",
    async stop() {
      if (program.exitCode !== null) return `it ended by itself, with ${program.exitCode}`;
      program.kill("SIGTERM");
      const [code] = await Promise.race([ended, pause(STOP_MS_MAX, ["no end"], { ref: false })]);
      if (code === 0) return undefined;
      program.kill("SIGKILL");
      return `after SIGTERM it should end with 0 within ${STOP_MS_MAX / 1000} s; it was: ${code}`;
    },
  };
  for (const stream of [program.stdout, program.stderr]) {
    stream.on("data", (piece) => { started.output = (started.output + piece).slice(-OUTPUT_CHARS_MAX); });
  }
  program.on("error", (problem) => { started.output += problem.message; });
  const ended = once(program, "exit");
  for (const start = Date.now(); ; await pause(100)) {
    const reply = await fetch(`${admin}/healthz`).catch(() => undefined);
    if (reply?.ok) return started;
    const late = Date.now() - start > START_MS_MAX;
    if (program.exitCode === null && !late) continue;
    if (late) program.kill("SIGKILL");
    const problem = late ? `${admin}/healthz did not answer 200 within ${START_MS_MAX / 1000} s` : `it ended at once, with ${program.exitCode}`;
    throw new Error(`${problem}\n--- what the program printed\n${started.output}`);
  }
}
