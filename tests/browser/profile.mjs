// A customer of the demonstration: agrees, signs in, buys on two devices, is one profile that says what joined it, is handed out, parted, joined again,
// and erased without a trace. Started by run.mjs, which says in the environment where the program is.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startChromium } from "./chromium.mjs";
import { commandWith } from "./program.mjs";
import { eventually } from "./receivers.mjs";

const SITE = process.env.FIRSTHAND_SITE;
const DATA = process.env.FIRSTHAND_DATA;
/** What the demonstration's shop calls who signs in as Ada. */
const ACCOUNT = "customer-1001";

const firsthand = (parameters, said = "") => commandWith(said, ...parameters, "--data-dir", DATA);
/** Those that were not there before this test. */
const profiles = () => JSON.parse(firsthand(["profile", "list", "--json"])).filter(({ id }) => !there.has(id));
const profile = (id) => JSON.parse(firsthand(["profile", "show", id, "--json"]));

let chromium;
let house = 200;
const there = new Set();
before(async () => {
  chromium = await startChromium();
  for (const { id } of profiles()) there.add(id);
});
after(() => chromium?.stop());

/** A browser of its own, opened in the shop. */
async function device() {
  const context = await chromium.browser.createBrowserContext();
  const page = await context.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error)));
  const address = `192.0.2.${(house += 1)}`;
  await page.evaluateOnNewDocument((address) => { window.simulated = { address, doNotTrack: false }; }, address);
  await page.goto(`${SITE}/shop`);
  return page;
}

/** Says yes, and goes on as late as a person would: a page that is left before the yes is answered may get another cookie on the next. */
async function agree(page) {
  await page.click("#accept");
  await page.waitForNetworkIdle();
}

const signed = (page) => page.waitForFunction(() => JSON.parse(localStorage.getItem("shop-account") ?? "{}").signature !== undefined);

async function buy(page, product) {
  await page.goto(`${SITE}/shop`);
  await page.click(`[data-add=${product}]`);
  await page.goto(`${SITE}/checkout`);
  await Promise.all([page.waitForNavigation(), page.click("#buy")]);
}

/** Every byte below a directory. */
function bytesBelow(directory) {
  const parts = readdirSync(directory, { recursive: true }).map((name) => join(directory, name)).filter((path) => statSync(path).isFile());
  return Buffer.concat(parts.map((path) => readFileSync(path)));
}

test("a customer on two devices is one profile, explained; parted, joined again, handed out, and erased without a trace", async () => {
  // The first device: in the shop without a yes, then with one.
  const desk = await device();
  await desk.goto(`${SITE}/account`);
  await desk.click("[data-sign-in=ada]");
  await desk.waitForFunction(() => !document.getElementById("signed-in").hidden);
  assert.match(await desk.$eval("#signed-note", (note) => note.textContent), /there is nothing to sign/, "no yes, no cookie");
  await desk.click("#accept");
  await signed(desk);
  assert.match(await desk.$eval("#signed-note", (note) => note.textContent), /has signed that this browser is yours/);
  await buy(desk, "bowl");

  // The second, where the yes comes first.
  const pocket = await device();
  await agree(pocket);
  await pocket.goto(`${SITE}/account`);
  await pocket.click("[data-sign-in=ada]");
  await signed(pocket);
  await buy(pocket, "jug");

  // Somebody who says that they are Ada, and cannot have it signed.
  const stranger = await device();
  await agree(stranger);
  await stranger.evaluate((account) => {
    localStorage.setItem("shop-account", JSON.stringify({ customer: "ada", account, signature: "x".repeat(43), expires: Math.round(Date.now() / 1000) + 3000 }));
  }, ACCOUNT);
  await buy(stranger, "cup");

  const both = await eventually(profiles, (found) => found.length === 2 && found.every((one) => one.traits.orders > 0) && found.some((one) => one.traits.orders === 2), "two profiles: Ada's, and a stranger's");
  const ada = both.find((one) => one.traits.orders === 2);
  const other = both.find((one) => one.id !== ada.id);
  assert.deepEqual(ada.traits.revenue.map(({ currency, orders, revenue }) => [currency, orders, revenue]), [["EUR", 2, 62]]);
  assert.equal(ada.joined_by, "proven_account");
  assert.deepEqual([other.joined_by, other.traits.orders, other.traits.claimed_accounts.length], ["one_browser", 1, 1], "a claim joins nothing");

  const whole = profile(ada.id);
  const accountParts = whole.parts.filter((part) => part.proof);
  assert.equal(accountParts.length, 2, "what joined each device");
  assert.equal(new Set(whole.parts.map((part) => part.id.split(".")[0])).size, 2, "two browsers");
  for (const part of accountParts) assert.match(part.proof.at, /^20\d\d-/);
  assert.ok(whole.timeline.some((event) => event.name === "purchase"));

  // Parted and joined again.
  const pocketPart = accountParts[1].id;
  assert.match(firsthand(["profile", "unmerge", pocketPart, "--reason", "her brother's"]), /Parted/);
  assert.deepEqual(profiles().map((one) => one.traits.orders).sort(), [1, 1, 1], "three of one order each");
  assert.match(firsthand(["profile", "merge", pocketPart, "--reason", "it is hers"]), /Joined/);
  const again = profile(ada.id);
  assert.deepEqual([again.traits.orders, again.parts.flatMap((part) => part.decisions ?? []).map((decision) => decision.what)], [2, ["parted", "joined"]]);

  // Handed out.
  const handed = join(DATA, "../handed-out");
  firsthand(["person", "export", "--by", "account", handed], ACCOUNT);
  const handedOut = bytesBelow(handed);
  assert.ok(handedOut.includes("Water jug") && handedOut.includes("Wide bowl") && handedOut.includes(ada.id), "all of both devices is in what she is given");
  assert.ok(!handedOut.includes("Morning cup"), "and nothing of the stranger's");

  // Erased.
  firsthand(["person", "erase", "--by", "account", "--notice", join(DATA, "../notice.json")], ACCOUNT);
  const left = await eventually(profiles, (found) => found.length === 1, "only the stranger is left");
  assert.deepEqual([left[0].id, left[0].traits.orders], [other.id, 1]);
  await eventually(
    () => bytesBelow(join(DATA)),
    (bytes) => !bytes.includes(Buffer.from(ada.id, "hex")) && !bytes.includes(ACCOUNT),
    "neither her account nor its id is on the disk",
  );
  for (const page of [desk, pocket, stranger]) assert.deepEqual(page.errors, []);
});
