// A shop with vendors' tags and with our script beside them, in browsers clean and with blockers: what arrives at the vendors' receivers and at the running program's destination, of the same visits.
// Prints a table, and what share of what the vendors lost ours has. BROWSERS names some browsers (a part of the name is enough); VISITS how many visits there are.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { BROWSERS, LeftOut } from "../browser/browsers.mjs";
import { bodyOf, passOn, startHosts } from "../browser/hosts.mjs";
import { command, freePorts, startProgram } from "../browser/program.mjs";
import { answerAsVendor, HOSTS, TOLD, VENDORS } from "./vendors.mjs";

const VISITS = Number(process.env.VISITS ?? 10);
/** Two pages and an order. */
const SAID = 3;
const SHOP = "www.acmeshop.com"; // some rules apply to .com alone
/** Libraries wait up to a second before they send a batch, and ask their vendor for settings before. */
const STAY_MS = 2500;
const PATIENCE_MS = 60_000;
const BLOCKER_MS_MAX = 60_000;
/** What strict tracking protection is given as its list: all but Tag Manager's host, whose scripts it lets through. */
const LISTED = HOSTS.filter((host) => host !== "www.googletagmanager.com");

const data = mkdtempSync(join(tmpdir(), "firsthand-"));
const [plain, admin] = await freePorts(2);
const results = [];
let prefix, program, hosts, arrived = {}, house = 0;

/** The shop's page: each vendor's tag, ours, and what it says of an order. */
const page = (title) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><link rel="icon" href="data:,">
<script>(window.fpw = window.fpw || []).push(["consent", ["analytics"], 3600]);</script><script async src="${prefix}/core.js"></script>
${VENDORS.map(({ tag }) => tag).join("\n")}
<script>const order = ${JSON.stringify(TOLD)}; window.buy = () => { ${VENDORS.map(({ order }) => `try { ${order} } catch {}`).join(" ")} fpw.event("purchase", order); };</script>
<h1>${title}</h1></html>`;

async function answer(asked, reply) {
  const url = new URL(asked.url, `https://${asked.headers.host}`);
  const body = await bodyOf(asked);
  const tell = ({ name }, kind) => { arrived[name] = (arrived[name] ?? 0) + (kind ? 1 : 0); };
  if (url.host !== SHOP) return answerAsVendor(asked, url, body, reply, tell) || reply.writeHead(404).end();
  if (!url.pathname.startsWith(`${prefix}/`)) return reply.writeHead(200, { "content-type": "text/html" }).end(page(`A shop: ${url.pathname}`));
  const answered = await passOn(asked, body, `http://127.0.0.1:${plain}`, `198.51.${100 + (house >> 8)}.${house & 255}`);
  if (!answered) return reply.writeHead(502).end();
  reply.writeHead(answered.statusCode, answered.headers);
  answered.pipe(reply);
}

/** Page views and orders that our destination has received, each once. */
function ours() {
  const files = readdirSync(data, { recursive: true }).filter((file) => file.endsWith(".ndjson") && file.includes("outbox/customers"));
  const events = files.flatMap((file) => readFileSync(join(data, file), "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line)));
  return new Set(events.filter(({ name }) => ["page_view", "purchase"].includes(name)).map(({ event_id: id }) => id)).size;
}

async function visit({ browser, newPage }) {
  house += 1;
  const visitor = await browser.createBrowserContext();
  const page = await newPage(visitor);
  await page.goto(`https://${SHOP}/`);
  await pause(STAY_MS);
  await page.goto(`https://${SHOP}/basket`);
  await pause(STAY_MS);
  await page.evaluate(() => buy());
  await pause(STAY_MS);
  await page.goto("about:blank");
  await visitor.close();
}

/** A blocker reads its lists after it has started: nothing is counted before it stops what is on them. */
async function waitForBlocker(started) {
  for (const start = Date.now(); Date.now() - start < BLOCKER_MS_MAX; ) {
    arrived = {};
    await visit(started);
    if (!arrived["Mixpanel"]) return;
  }
  throw new Error("the protection is not on: Mixpanel was reached");
}

async function row({ name, start, protects }) {
  const started = await start(hosts, LISTED);
  try {
    const version = await started.browser.version();
    if (protects) await waitForBlocker(started);
    await pause(1000);
    const before = ours();
    arrived = {};
    for (let count = 0; count < VISITS; count += 1) await visit(started);
    const sent = SAID * VISITS;
    for (const start = Date.now(); Date.now() - start < PATIENCE_MS && ours() - before < sent; ) await pause(100);
    await pause(1000);
    return { name, version, protects, sent, ours: ours() - before, vendors: VENDORS.map(({ name }) => arrived[name] ?? 0) };
  } finally {
    await started.stop();
  }
}

const percent = (share) => `${(100 * share).toFixed(0)} %`;
/** Of what the vendors' tags lost, the share that ours has: the same events, said to both. */
const recovered = ({ sent, ours, vendors }) => {
  const lost = vendors.reduce((sum, count) => sum + Math.max(0, sent - count), 0);
  return lost ? percent((lost - vendors.length * Math.max(0, sent - ours)) / lost) : "nothing was lost";
};

function table() {
  const head = ["", ...VENDORS.map(({ name }) => name), "Firsthand", "recovered"];
  const rows = results.map((row) => [row.name, ...row.vendors.map((count) => `${count}/${row.sent}`), `${row.ours}/${row.sent}`, recovered(row)]);
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

let failed = false;
const wrong = (text) => { failed = true; console.error(`FAILED ${text}`); };
try {
  command("init", `https://${SHOP}`, data);
  const site = join(data, "sites/site.toml");
  prefix = /prefix = "(.*)"/.exec(readFileSync(site, "utf8"))[1];
  const machine = join(data, "firsthand.toml");
  writeFileSync(machine, readFileSync(machine, "utf8").replace("127.0.0.1:8080", `127.0.0.1:${plain}`).replace("127.0.0.1:8081", `127.0.0.1:${admin}`));
  program = await startProgram(["run", "--config", machine], data, `http://127.0.0.1:${admin}`);
  hosts = await startHosts(data, [SHOP, ...HOSTS], answer);
  for (const browser of BROWSERS.filter(({ name }) => name.includes(process.env.BROWSERS ?? ""))) {
    try {
      const found = await row(browser);
      results.push(found);
      console.log(`${found.name}: ${VENDORS.map(({ name }, at) => `${name} ${found.vendors[at]}`).join(", ")}; Firsthand ${found.ours} of ${found.sent}`);
      if (found.ours !== found.sent) wrong(`${found.name}: Firsthand has ${found.ours} of ${found.sent}`);
      // The control: where nothing stands in between, the tags work; where something does, it stops them.
      found.vendors.forEach((count, at) => {
        if (!found.protects && count !== found.sent) wrong(`${found.name}: ${VENDORS[at].name} has ${count} of ${found.sent}, with nothing in between`);
      });
      if (found.protects && found.vendors.every((count) => count === found.sent)) wrong(`${found.name}: nothing was blocked`);
    } catch (problem) {
      if (problem instanceof LeftOut) console.log(`left out: ${browser.name}: ${problem.message}`);
      else wrong(`${browser.name}: ${problem.stack}`);
    }
  }
  console.log(`\n${new Date().toISOString().slice(0, 10)}: ${[...new Set(results.map(({ version }) => version))].join(", ")}; ${VISITS} visits, each two pages and an order\n\n${table()}`);
} catch (problem) {
  wrong(problem.stack);
}
hosts?.stop();
const unclean = await program?.stop();
if (unclean) wrong(unclean);
if (failed && program) console.error(`--- what the program printed\n${program.output}`);
console.log(`# pass ${failed ? 0 : results.length}\n# fail ${failed ? 1 : 0}`);
rmSync(data, { recursive: true, force: true, maxRetries: 5 });
process.exit(failed || !results.length ? 1 : 0);
