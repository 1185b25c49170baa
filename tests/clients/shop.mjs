// A shop that uses a vendor's library and routes a path of its own to the running program; its visitors; and what arrived of them.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { BROWSERS } from "../browser/browsers.mjs";
import { bodyOf, passOn, startHosts } from "../browser/hosts.mjs";
import { command, freePorts, startProgram } from "../browser/program.mjs";
import { SCRIPTS } from "./libraries.mjs";

/** The shop, once on the scheme's own port and once on another. */
export const SHOP = "https://www.acmeshop.com";
export const SHOP_ON_A_PORT = "https://www.acmeshop.com:8443";
/** Somebody else's page. */
export const ELSEWHERE = "https://www.elsewhere.example";
/** What is said of these tests' own browser, which has no screen. */
export const HEADLESS = { class: "suspected", score: 90, reasons: ["headless"] };
export const WRITE_KEY = "wk_acmeshop";
export const MEASUREMENT_ID = "G-ACMESHOP01";
/** What other vendors call the shop, by protocol. */
export const KEYS = {
  amplitude: "amp_acmeshop", countly: "cly_acmeshop", matomo: "7", mixpanel: "mp_acmeshop", plausible: "acmeshop.com", posthog: "phc_acmeshop", snowplow: "acmeshop-web",
  umami: "11111111-2222-4333-8444-555555555555",
};
/** A positive fact may take so long on a busy machine. */
const PATIENCE_MS = 60_000;
/** Where Chromium goes by itself, whatever the page is. What the page asks for is looked at apart, with no exception. */
const CHROMIUMS_OWN = /(^|\.)(googleapis|gvt1)\.com$|(^|\.)(accounts|clients\d*|www|sb-ssl)\.google\.com$/;

const data = mkdtempSync(join(tmpdir(), "firsthand-"));
let admin, program, hosts, chromium, plain;
let house = 0;

export const shop = {
  /** The path that is Firsthand's. */
  prefix: "",
  /** What came to that path, in order, each with the status that the browser got, once it has been answered. */
  asked: [],
  /** What stands in between: `(asked) => "answer lost" | status | [status, headers] | undefined`; a status is answered in Firsthand's place. */
  fault: () => undefined,
};

/** The site's document as `init` writes it, with the vendors' keys and an event and a property of the shop's own. */
function writeSite() {
  command("init", SHOP, data);
  const file = join(data, "sites/site.toml");
  const site = readFileSync(file, "utf8")
    .replace("policy = \"site\"\n", `$&keys = { ${Object.entries({ segment: WRITE_KEY, ga4: MEASUREMENT_ID, ...KEYS }).map(([protocol, key]) => `${protocol} = ["${key}"]`).join(", ")} }\nshims = ["gtag", "matomo", "segment"]\n`)
    .replace("events = []", `events = ["newsletter_opened", "identify", "group", "alias", "cart_update", "goal"]`)
    .replace("crowd = 20", `crowd = 1\ncrowd_reason = "one browser is tested"`)
    .replace("properties = {", `$& plan = "word", gift = "flag", percent_scrolled = "number", event_category = "word", event_label = "word", event_value = "number", search_category = "word", goal = "number",`)
    // What the shop's own backend reaches it by.
    .replace("hosts = [", `$&"127.0.0.1", `)
    .replace(`origins = ["${SHOP}"]`, `origins = ["${SHOP}", "${SHOP_ON_A_PORT}"]`);
  for (const written of [WRITE_KEY, "newsletter_opened", "plan =", SHOP_ON_A_PORT]) assert.ok(site.includes(written), `init writes another document: ${written}`);
  writeFileSync(file, site);
  return /prefix = "(.*)"/.exec(site)[1];
}

export async function openShop() {
  let console_;
  [plain, console_] = await freePorts(2);
  admin = `http://127.0.0.1:${console_}`;
  shop.prefix = writeSite();
  const machine = join(data, "firsthand.toml");
  writeFileSync(machine, readFileSync(machine, "utf8").replace("127.0.0.1:8080", `127.0.0.1:${plain}`).replace("127.0.0.1:8081", `127.0.0.1:${console_}`));
  program = await startProgram(["run", "--config", machine], data, admin);
  hosts = await startHosts(data, [SHOP, ELSEWHERE].map((origin) => new URL(origin).hostname), (asked, reply) => answer(asked, reply, `http://127.0.0.1:${plain}`));
  chromium = await BROWSERS.find(({ name }) => name === "Chromium").start(hosts);
}

/** The address that the shop's own servers send to: they stand beside the program. */
export const door = () => `http://127.0.0.1:${plain}${shop.prefix}`;

/** The table of libraries as `firsthand doctor` prints it for this site, by name. */
export function table() {
  const { sites } = JSON.parse(command("doctor", "--config", join(data, "firsthand.toml"), "--all", "--json"));
  return Object.fromEntries(sites[0].libraries.map((library) => [library.name, library]));
}

export async function closeShop() {
  await chromium?.stop();
  hosts?.stop();
  const unclean = await program?.stop();
  rmSync(data, { recursive: true, force: true, maxRetries: 5 });
  assert.equal(unclean, undefined, program?.output);
}

async function answer(asked, reply, upstream) {
  const url = new URL(asked.url, `https://${asked.headers.host}`);
  if (!url.pathname.startsWith(`${shop.prefix}/`) || url.hostname !== new URL(SHOP).hostname) {
    const script = SCRIPTS[url.pathname];
    if (script) return reply.writeHead(200, { "content-type": "text/javascript; charset=utf-8" }).end(script);
    const page = shop.head && `<!doctype html><html lang="en"><meta charset="utf-8"><title>A shop</title><link rel="icon" href="data:,">${shop.head}<body></body></html>`;
    return reply.writeHead(page ? 200 : 404, { "content-type": "text/html; charset=utf-8" }).end(page);
  }
  const seen = { method: asked.method, host: asked.headers.host, path: url.pathname.slice(shop.prefix.length), query: url.searchParams, retry: asked.headers["x-retry-count"], body: "" };
  const { from, fault } = shop;
  shop.asked.push(seen);
  // A page may go before its request is whole, or answered.
  const gone = new Promise((closed) => reply.on("close", closed));
  try {
    const body = await bodyOf(asked);
    seen.body = body.toString();
    const instead = fault(seen);
    const answered = !instead || instead === "answer lost" ? await passOn(asked, body, upstream, from) : undefined;
    const text = answered && (await bodyOf(answered));
    if (instead) reply.writeHead(...[instead === "answer lost" ? 503 : instead].flat()).end();
    else reply.writeHead(answered?.statusCode ?? 502, answered?.headers).end(text);
    await gone;
    seen.status = reply.statusCode;
  } catch {
    seen.status = "cut off";
  }
}

/** Those of the requests to a path (or paths that fit) since the visitor came. */
export const requests = (path) => shop.asked.filter((seen) => (path instanceof RegExp ? path.test(seen.path) : seen.path === path));

const allAnswered = () => shop.asked.every(({ status }) => status);

/**
 * Someone new, with an empty profile, at an address of their own, opens a page whose head has that text. `foreign`: the authorities that the
 * page or the browser asked for and that are not the page's own; `errors`: what the console and the page complained of.
 */
export async function visit(head, address = `${SHOP}/`) {
  house += 1;
  Object.assign(shop, { head, asked: [], fault: () => undefined, from: `198.51.100.${house}` });
  hosts.connected.clear();
  const context = await chromium.browser.createBrowserContext();
  const page = await context.newPage();
  const errors = [];
  const addresses = new Set();
  page.on("console", (message) => { if (["error", "warn"].includes(message.type())) errors.push(message.text()); });
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("request", (request) => addresses.add(request.url()));
  const foreign = () => {
    const asked = [...addresses].filter((url) => url.startsWith("http")).map((url) => new URL(url).host);
    const connected = [...hosts.connected].map((authority) => authority.replace(/:443$/, "")).filter((host) => !CHROMIUMS_OWN.test(host));
    return [...new Set([...asked, ...connected])].filter((host) => host !== new URL(address).host);
  };
  await page.goto(address);
  const leave = async () => {
    await context.close();
    await until("all requests are answered", allAnswered);
  };
  return { page, errors, foreign, leave };
}

/** Waits until it is so; what is waited for stands in the error. */
export async function until(what, isSo) {
  for (const start = Date.now(); ; await pause(25)) {
    const found = await isSo();
    if (found) return found;
    if (Date.now() - start > PATIENCE_MS) throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}`);
  }
}

const overview = async () => (await fetch(`${admin}/overview.json`)).json();

/** What was refused so far, by reason. The counters are written every second. */
export async function refused(reason) {
  const { sites } = await overview();
  return sites.flatMap((site) => site.refused).find((each) => each.reason === reason)?.count ?? 0;
}

/** The events that a destination has received; those of an earlier call of `arrivals` left out. */
function received(destination) {
  const directory = join(data, "data/outbox", destination);
  let text = "";
  try {
    text = readFileSync(join(directory, "events.ndjson"), "utf8");
  } catch {
    // Nothing was delivered there so far.
  }
  return text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

let read = { measurement: 0, customers: 0 };

/**
 * What has arrived since the last call, once every request has been answered and every event in the log has come to its end at every destination.
 * An event that was delivered twice (delivery is at least once) is one: they are told by their ids.
 */
export async function arrivals() {
  await until("all requests are answered", allAnswered);
  await until("every event has come to its end everywhere", async () => {
    const { log, destinations } = await overview();
    return destinations.every(({ ledger }) => Object.values(ledger).reduce((sum, count) => sum + count, 0) >= log.records);
  });
  const arrived = {};
  for (const destination of Object.keys(read)) {
    const all = received(destination);
    const earlier = new Set(all.slice(0, read[destination]).map(({ event_id: id }) => id));
    const fresh = new Map(all.slice(read[destination]).filter(({ event_id: id }) => !earlier.has(id)).map((event) => [event.event_id, event]));
    arrived[destination] = [...fresh.values()];
    read[destination] = all.length;
  }
  return arrived;
}

/** The events' names in alphabetical order: the order of requests on different connections is nobody's. */
export const names = (events) => events.map(({ name }) => name).sort();
