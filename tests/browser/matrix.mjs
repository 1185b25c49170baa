// The snippet in real browsers, clean and with blockers, against the running program: what arrives at the destinations, and what must not.
// Prints a line for each fact, and a table. BROWSERS names some of them (a part of the name is enough); VISITS and TRIALS how many there are.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { BROWSERS, LeftOut, OBJECTING } from "./browsers.mjs";
import { command, freePorts, startProgram } from "./program.mjs";
import { startWeb, TRACKER } from "./web.mjs";

const VISITS = Number(process.env.VISITS ?? 5);
const TRIALS = Number(process.env.TRIALS ?? 40);
/** Of the events of a tab's end, at least this part arrives. */
const TAB_CLOSE_MIN = 0.95;
/** For what must come, on a slow machine. Nothing waits as long when all is well. */
const PATIENCE_MS = 60_000;
/** Long enough for an event that should not come to come. */
const QUIET_MS = 1000;
/** A blocker reads its lists after it has started. */
const BLOCKER_MS_MAX = 60_000;
const SHOP = "www.acmeshop.com"; // some rules apply to .com alone
const LAMPS = "www.acmelamps.com"; // the shop that measures nobody without a yes

const data = mkdtempSync(join(tmpdir(), "firsthand-"));
const [plain, admin] = await freePorts(2);

/** Two sites with names of their own making; the second one has no exempt destination. */
function writeSites() {
  command("init", `https://${SHOP}`, data);
  command("init", `https://${LAMPS}`, join(data, "second"));
  const one = readFileSync(join(data, "sites/site.toml"), "utf8");
  const other = readFileSync(join(data, "second/sites/site.toml"), "utf8");
  const lamps = other
    .split(/\n(?=# [^\n]*\n\[\[destination\]\]|\[\[)/)
    .filter((part) => !part.includes('name = "measurement"'))
    .join("\n")
    .replaceAll('"site"', '"lamps"')
    .replace('name = "customers"', 'name = "lamps"')
    .replace("outbox/customers", "outbox/lamps");
  writeFileSync(join(data, "sites/site.toml"), one.replace('policy = "site"', 'policy = "site"\nmeasure_recovery = ["gtag"]'));
  writeFileSync(join(data, "sites/lamps.toml"), lamps);
  const machine = readFileSync(join(data, "firsthand.toml"), "utf8");
  writeFileSync(join(data, "firsthand.toml"), machine.replace("127.0.0.1:8080", `127.0.0.1:${plain}`).replace("127.0.0.1:8081", `127.0.0.1:${admin}`));
  return Object.fromEntries([[SHOP, one], [LAMPS, lamps]].map(([host, text]) => [host, /prefix = "(.*)"/.exec(text)[1]]));
}

/** What a destination has received so far, by the events' names. */
function counts(destination) {
  const files = readdirSync(data, { recursive: true }).filter((file) => file.endsWith(".ndjson") && file.includes(`outbox/${destination}`));
  const names = files.flatMap((file) => readFileSync(join(data, file), "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line).name));
  return names.reduce((sum, name) => ({ ...sum, [name]: (sum[name] ?? 0) + 1 }), {});
}
const all = (destination) => Object.values(counts(destination)).reduce((sum, count) => sum + count, 0);

async function until(reached) {
  for (const start = Date.now(); Date.now() - start < PATIENCE_MS && !reached(); ) await pause(50);
  await pause(QUIET_MS);
}

let house = 0;
/** Opens a page as someone new: a fresh profile at a fresh address. */
async function arrive({ browser, newPage }, address) {
  house += 1;
  web.from = `198.51.${100 + (house >> 8)}.${house & 255}`;
  const visitor = await browser.createBrowserContext();
  const page = await newPage(visitor);
  await page.goto(address);
  return { visitor, page };
}

/** To another route, until the snippet has seen it: its timer is the earlier one. */
const move = (page, path) => page.evaluate((to) => { history.pushState({}, "", to); return new Promise((later) => setTimeout(later)); }, path);

/** Everything that a script can see, and the cookies that it cannot. */
async function stored({ visitor, page }) {
  const script = await page.evaluate(async () => [
    ...document.cookie.split(";").filter(Boolean),
    ...Object.keys(localStorage),
    ...Object.keys(sessionStorage),
    ...(await indexedDB.databases()),
    ...(await caches.keys()),
  ].length);
  return script + (await visitor.cookies()).length;
}

async function waitForBlocker(started) {
  for (const start = Date.now(); Date.now() - start < BLOCKER_MS_MAX; await pause(500)) {
    const before = web.tracked;
    const { visitor, page } = await arrive(started, `https://${SHOP}/control?said=no`);
    await page.evaluate(() => window.tracker);
    await visitor.close();
    if (web.tracked === before) return;
  }
  throw new Error(`${TRACKER} was reached: the protection is not on`);
}

/** Visitors who agreed: three page views each (two pages and a route), a purchase, a link that leaves. */
async function agreedVisits(started) {
  const before = counts("customers");
  for (let visit = 0; visit < VISITS; visit += 1) {
    const { visitor, page } = await arrive(started, `https://${SHOP}/?said=yes`);
    await move(page, "/route?said=yes");
    await page.goto(`https://${SHOP}/basket?said=yes`);
    await page.evaluate(() => fpw.event("purchase", { transaction_id: `T${Math.random()}`, value: 24, currency: "EUR", items: [{ item_id: "1", item_name: "Bowl", price: 24, quantity: 1 }] }));
    await Promise.all([page.waitForNavigation(), page.click("#out")]);
    await visitor.close();
  }
  const sent = { page_view: 3 * VISITS, purchase: VISITS, click: VISITS };
  const arrived = () => Object.fromEntries(Object.keys(sent).map((name) => [name, (counts("customers")[name] ?? 0) - (before[name] ?? 0)]));
  await until(() => Object.entries(sent).every(([name, count]) => arrived()[name] >= count));
  const found = arrived();
  return Object.entries(sent).map(([name, count]) => [name, found[name] === count, `${found[name]}/${count}`]);
}

/** Tabs that are closed at once: the time in sight is sent by the page's end. */
async function closedTabs(started) {
  const { visitor, page: holder } = await arrive(started, `https://${SHOP}/?said=yes`);
  await holder.goto("about:blank"); // else it would be hidden and shown with each tab that opens and closes
  await pause(QUIET_MS);
  const before = counts("customers").user_engagement ?? 0;
  for (let trial = 0; trial < TRIALS; trial += 1) {
    const page = await started.newPage(visitor);
    await page.goto(`https://${SHOP}/tab?said=yes`);
    await page.bringToFront();
    await page.waitForFunction(() => document.visibilityState === "visible");
    await page.close();
  }
  const arrived = () => (counts("customers").user_engagement ?? 0) - before;
  await until(() => arrived() >= TRIALS);
  const found = arrived();
  await visitor.close();
  return { ok: found >= TAB_CLOSE_MIN * TRIALS && found <= TRIALS, text: `${found}/${TRIALS}` };
}

/** What the script says of the listed tracker's own tag, beside an event of somebody who agreed: 1, it ran; 0, it did not. */
async function saidOfTag(started) {
  const before = web.beacons.length;
  const said = () => web.beacons.slice(before).map(({ body }) => body.u?.["ran.gtag"]).find((ran) => ran !== undefined);
  const { visitor, page } = await arrive(started, `https://${SHOP}/tag?said=yes`);
  await page.evaluate(() => window.tracker);
  await until(() => web.beacons.length > before);
  // A page that has been open for long enough.
  await page.evaluate(() => { const now = Date.now; Date.now = () => now() + 6000; fpw.event("login"); });
  await until(() => said() !== undefined);
  await visitor.close();
  return said();
}

/** Visitors who have not chosen, then refuse: `first` page views reach the exempt destination, nothing else does and nothing is stored. */
async function unchosen(started, host, exempt, needsConsent) {
  const before = { consent: all(needsConsent), exempt: exempt && all(exempt), beacons: web.beacons.length };
  const visit = await arrive(started, `https://${host}/`);
  await move(visit.page, "/route");
  await until(() => !exempt || all(exempt) >= before.exempt + 2);
  const atExempt = exempt ? all(exempt) - before.exempt : 0;
  const inBrowser = await stored(visit);
  await visit.page.evaluate(() => fpw.consent([]));
  await visit.page.evaluate(() => fpw.event("purchase", { value: 1, currency: "EUR" }));
  await visit.page.goto(`https://${host}/basket?said=no`);
  await until(() => web.beacons.length > before.beacons);
  const after = exempt ? all(exempt) - before.exempt - atExempt : 0;
  const inBrowserLater = await stored(visit);
  const withEvents = web.beacons.slice(before.beacons).filter(({ body }) => body.e?.length).length;
  const reached = all(needsConsent) - before.consent;
  await visit.visitor.close();
  return { atExempt, inBrowser: inBrowser + inBrowserLater, reached, afterNo: after, withEvents };
}

async function matrixOf({ name, start, protects }) {
  const started = await start(web.hosts);
  const lines = [];
  const say = (what, ok, text) => lines.push({ name, what, ok, text });
  try {
    versions.add(await started.browser.version());
    if (protects) await waitForBlocker(started);
    const tracked = web.tracked;
    for (const fact of await agreedVisits(started)) say(...fact);
    const control = web.tracked - tracked;
    say("control: listed tracker", protects ? control === 0 : control > 0, protects && !control ? "blocked" : `reached ${control} times`);
    const tag = await saidOfTag(started);
    say("its tag, as measured live", tag === (protects ? 0 : 1), { 0: "did not run", 1: "ran" }[tag] ?? "nothing was said");
    const closed = await closedTabs(started);
    say("tab closed", closed.ok, closed.text);
    // An event of time in sight comes with the route that is left and with the page that is: the exempt destination has those, too.
    const first = await unchosen(started, SHOP, "measurement", "customers");
    say("before the choice", first.atExempt >= 2 && !first.inBrowser && !first.reached, `exempt ${first.atExempt}, others ${first.reached}, stored ${first.inBrowser}`);
    say("after a no", first.afterNo === 0, `${first.afterNo} events`);
    const lamps = await unchosen(started, LAMPS, undefined, "lamps");
    say("no exempt destination", !lamps.withEvents && !lamps.reached && !lamps.inBrowser, `${lamps.withEvents} event requests, stored ${lamps.inBrowser}`);
  } finally {
    await started.stop();
  }
  return lines;
}

async function objecting({ name, start, objects, coupled }) {
  const started = await start(web.hosts);
  try {
    versions.add(await started.browser.version());
    const before = { beacons: web.beacons.length, kept: all("measurement") + all("customers") };
    const visit = await arrive(started, `https://${SHOP}/?said=yes`);
    const objected = await visit.page.evaluate(objects);
    if (coupled && !objected) throw new LeftOut("this version does not say it");
    await visit.page.evaluate(() => { fpw.consent(["analytics"]); fpw.event("purchase", { value: 1, currency: "EUR" }); });
    await pause(QUIET_MS);
    const inBrowser = await stored(visit);
    await visit.visitor.close();
    await until(() => web.beacons.length > before.beacons);
    const told = web.beacons.length > before.beacons;
    const withEvents = web.beacons.slice(before.beacons).filter(({ body }) => body.e?.length).length;
    const kept = all("measurement") + all("customers") - before.kept;
    return [{ name, what: "after a yes", ok: objected && told && !withEvents && !kept && !inBrowser, text: `${told ? "objection told" : "nothing was told"}, ${withEvents} event requests, ${kept} events kept, stored ${inBrowser}` }];
  } finally {
    await started.stop();
  }
}

/** The figures, a row for each browser. */
function table() {
  const columns = [...new Set(results.map(({ what }) => what).filter(Boolean))];
  const rows = [...new Set(results.map(({ name }) => name))].map((name) => [
    name,
    ...columns.map((column) => results.find(({ name: row, what }) => row === name && what === column)?.text ?? ""),
  ]);
  return [["", ...columns], ["", ...columns].map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

let web, program;
const results = [];
const versions = new Set();
try {
  const shops = writeSites();
  program = await startProgram(["run", "--config", join(data, "firsthand.toml")], data, `http://127.0.0.1:${admin}`);
  web = await startWeb(data, shops, `http://127.0.0.1:${plain}`);
  for (const each of [...BROWSERS, ...OBJECTING].filter(({ name }) => name.includes(process.env.BROWSERS ?? ""))) {
    try {
      const lines = await (each.objects ? objecting(each) : matrixOf(each));
      results.push(...lines);
      for (const { name, what, ok, text } of lines) console.log(`${ok ? "ok    " : "FAILED"} ${name}: ${what}: ${text}`);
    } catch (problem) {
      const leftOut = problem instanceof LeftOut;
      results.push({ name: each.name, ok: leftOut, leftOut, text: problem.message });
      console.log(leftOut ? `left out: ${each.name}: ${problem.message}` : `FAILED ${each.name}: ${problem.stack}`);
    }
  }
  console.log(`\n${new Date().toISOString().slice(0, 10)}: ${[...versions].join(", ")}; ${VISITS} visits, ${TRIALS} tabs\n\n${table()}`);
} catch (problem) {
  console.error(problem.stack);
}
web?.hosts.stop();
const unclean = await program?.stop();
if (unclean) console.error(unclean);
const wrong = results.filter(({ ok }) => !ok);
const failed = unclean || !results.length || wrong.length > 0;
if (failed && program) console.error(`--- what the program printed\n${program.output}`);
for (const { name, what, text } of wrong) console.error(`FAILED ${name}: ${what ?? "ended early"}: ${text}`);
const skipped = results.filter(({ leftOut }) => leftOut).length;
console.log(`# pass ${results.length - wrong.length - skipped}\n# fail ${wrong.length}\n# skipped ${skipped}`);
rmSync(data, { recursive: true, force: true, maxRetries: 5 });
process.exit(failed ? 1 : 0);
