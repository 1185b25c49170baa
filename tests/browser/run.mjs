// Starts the built program as a person would (no configuration), runs the demonstration's tests against it, and ends it.
// SCREENSHOTS names a directory for pictures of what a person sees.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePorts, startProgram } from "./program.mjs";

const data = mkdtempSync(join(tmpdir(), "firsthand-"));
const [plain, tls, admin] = await freePorts(3);
const flags = ["--listen", `127.0.0.1:${plain}`, "--tls-listen", `127.0.0.1:${tls}`, "--admin-listen", `127.0.0.1:${admin}`, "--data-dir", join(data, "data")];
let program;
let failed = true;
try {
  // In a directory of its own: no configuration is found there, and what it makes beside its data goes with it.
  program = await startProgram(flags, data, `http://127.0.0.1:${admin}`);
  const environment = {
    ...process.env,
    FIRSTHAND_SITE: `http://127.0.0.1:${plain}`,
    FIRSTHAND_TLS_SITE: `https://127.0.0.1:${tls}`,
    FIRSTHAND_ADMIN: `http://127.0.0.1:${admin}`,
    FIRSTHAND_DATA: join(data, "data"),
  };
  // One after the other: the first counts what all visitors sent, the last gives the shop a backend.
  failed = false;
  for (const name of ["demonstration.mjs", "profile.mjs", "purchase.mjs"]) {
    const file = join(dirname(fileURLToPath(import.meta.url)), name);
    const test = spawn(process.execPath, ["--test", "--test-reporter=spec", file], { env: environment, stdio: "inherit" });
    const [code] = await once(test, "exit");
    failed ||= code !== 0;
  }
} catch (problem) {
  console.error(problem.message);
  failed = true;
}
const unclean = await program?.stop();
if (unclean) {
  console.error(unclean);
  failed = true;
}
if (failed && program) console.error(`--- what the program printed\n${program.output}`);
rmSync(data, { recursive: true, force: true, maxRetries: 5 });
process.exitCode = failed ? 1 : 0;
