// Purchases made in the demonstration's shop by Chromium, told of by the thank-you page, by the shop's backend, or by both: at four kinds of
// destination each arrives once, with the right value, items, campaign and session. Started by run.mjs after the demonstration's own test.
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startChromium } from "./chromium.mjs";
import { command } from "./program.mjs";
import { eventsOf } from "./receivers.mjs";

const SITE = process.env.FIRSTHAND_SITE;
const DATA = process.env.FIRSTHAND_DATA;
const CAMPAIGN = "?utm_source=newsletter&utm_medium=email&utm_campaign=autumn";
/** How long a page's purchase waits for the backend's: longer than it takes to come. */
const TWIN_WAIT_SECONDS = 5;
const PATIENCE_MS = 30_000;
/** Long enough for a purchase that should not come to come. */
const QUIET_MS = 1_500;
/** What a bowl costs, and what the backend knows of it: a discount, so that the two can be told apart. */
const PAGE_PRICE = 24;
const BACKEND_PRICE = 20;

/** What came to the receivers that are called, by kind: bodies, as they are. */
const received = { webhook: [], ga4: [], matomo: [] };
let receiver, chromium, key, prefix;

before(async () => {
  receiver = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    const kind = request.url.split(/[/?]/)[1];
    received[kind].push(JSON.parse(body));
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(kind === "matomo" ? { status: "success", tracked: JSON.parse(body).requests.length, invalid: 0, invalid_indices: [] } : {}));
  }).listen(0, "127.0.0.1");
  await once(receiver, "listening");
  const at = `http://127.0.0.1:${receiver.address().port}`;
  const secret = (name, text) => {
    writeFileSync(join(DATA, `${name}.secret`), text, { mode: 0o600 });
    return `file:${join(DATA, `${name}.secret`)}`;
  };
  const destination = (name, settings) =>
    `\n[[destination]]\nname = "${name}"\ntype = "${name}"\nsites = ["demonstration"]\nbasis = "consent"\npurposes = ["analytics"]\ntransform = "consented-analytics"\nsettings = { ${settings} }\n`;

  // The shop gets a backend, and three receivers more.
  const made = command("api-key", "--data-dir", DATA);
  [key] = made.match(/fhk_[\w-]+/);
  const backend = `${made.match(/keys = .*/)[0]}\nserver_purchases = { twin_wait_seconds = ${TWIN_WAIT_SECONDS} }\n`;
  const documents = command("export", "--data-dir", DATA);
  [, prefix] = documents.match(/^prefix = "(.*)"$/m);
  const file = join(DATA, "shop.toml");
  writeFileSync(
    file,
    documents.replace("[[site]]\n", `[[site]]\n${backend}`) +
      destination("webhook", `url = "${at}/webhook", secret = "${secret("webhook", `whsec_${"A".repeat(43)}=`)}"`) +
      destination("ga4", `measurement_id = "G-SHOP123456", endpoint = "${at}/ga4", api_secret = "${secret("ga4", "a-secret-of-the-test")}"`) +
      destination("matomo", `url = "${at}/matomo", site_id = 1, token = "${secret("matomo", "0".repeat(32))}"`),
  );
  command("apply", file, "--data-dir", DATA, "--reason", "the shop has a backend");
  chromium = await startChromium();
});
after(async () => {
  await chromium?.stop();
  receiver?.close();
  receiver?.closeAllConnections();
});

/** What each kind of destination got of a visit, in one form: the event's name, whose it is and of which session, and of a purchase the rest. */
const OF = {
  customers: () => eventsOf("customers").map(plain),
  webhook: () => received.webhook.flatMap((message) => message.data.events).map(plain),
  ga4: () =>
    received.ga4.flatMap(({ client_id, events }) =>
      events.map(({ name, params }) => ({
        name,
        visit: `${client_id} ${params.session_id}`,
        order: params.transaction_id,
        value: params.value,
        items: params.items?.map((item) => [item.item_id, item.item_name, item.quantity]),
        campaign: campaignIn(params.page_location),
      })),
    ),
  // It counts a visit by its visitor.
  matomo: () =>
    received.matomo
      .flatMap(({ requests }) => requests.map((request) => new URLSearchParams(request)))
      .map((said) => ({
        name: said.has("ec_id") ? "purchase" : said.has("e_a") ? said.get("e_a") : "page_view",
        visit: said.get("_id"),
        order: said.get("ec_id"),
        value: Number(said.get("revenue")),
        items: JSON.parse(said.get("ec_items") ?? "[]").map(([id, name, , , quantity]) => [id, name, quantity]),
        campaign: campaignIn(said.get("url")),
      })),
};

const plain = (event) => ({
  name: event.name,
  visit: `${event.visitor_id} ${event.session_id}`,
  order: event.transaction_id,
  value: event.value,
  items: event.items?.map((item) => [item.id, item.name, item.quantity]),
  campaign: event.campaign,
});

function campaignIn(address) {
  const query = new URLSearchParams(address?.split("?")[1]);
  const said = { source: query.get("utm_source"), medium: query.get("utm_medium"), name: query.get("utm_campaign") };
  return said.source ? said : undefined;
}

/** A visitor of their own follows the newsletter's link, agrees, and puts so many bowls into the basket; at the checkout, the shop asks for a ticket. */
async function goesToCheckout(house, bowls) {
  const visitor = await chromium.browser.createBrowserContext();
  const page = await visitor.newPage();
  await page.evaluateOnNewDocument((from) => { if (window === window.top) window.simulated = { address: from, doNotTrack: false }; }, `192.0.2.${house}`);
  await page.goto(`${SITE}/shop${CAMPAIGN}`);
  await page.click("#accept");
  for (let bowl = 0; bowl < bowls; bowl += 1) await page.click("[data-add=bowl]");
  await page.goto(`${SITE}/basket`);
  await Promise.all([page.waitForNavigation(), page.click("#to-checkout")]);
  await page.waitForFunction(() => window[document.documentElement.dataset.global]?.ticket);
  const ticket = await page.evaluate(() => window[document.documentElement.dataset.global].ticket());
  assert.ok(ticket?.length > 20, "the shop has a ticket for the order");
  return { visitor, page, ticket, bowls };
}

/** Places the order. Where the thanks are not to be seen (the tab is closed, say), the shop's own page is stopped there. */
async function buys(order, seesThanks) {
  const { page } = order;
  const number = () => page.evaluate(() => JSON.parse(localStorage.getItem("shop-order"))?.number);
  if (seesThanks) {
    // Noted before the thank-you page takes it away.
    await page.exposeFunction("noteOrder", (number) => { order.number = number; });
    await page.evaluate(() => document.addEventListener("submit", () => window.noteOrder(JSON.parse(localStorage.getItem("shop-order")).number)));
    await Promise.all([page.waitForNavigation(), page.click("#buy")]);
    await page.waitForSelector("#thanks.done");
    return order;
  }
  await page.setRequestInterception(true);
  order.thanksAreKeptAway = true;
  page.on("request", (request) => (order.thanksAreKeptAway && request.url().endsWith("/thank-you") ? request.respond({ status: 204 }) : request.continue()));
  await page.click("#buy");
  await page.waitForFunction(() => localStorage.getItem("shop-order"));
  return Object.assign(order, { number: await number() });
}

/** The shop's backend, once the order is paid for. */
async function paid({ number, bowls, ticket }) {
  const answer = await fetch(`${SITE}${prefix}/v1/events`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({
      event: "Order Completed",
      messageId: `paid-${number}`,
      ticket,
      properties: { order_id: number, revenue: BACKEND_PRICE * bowls, currency: "EUR", products: [{ product_id: "LK-bowl", name: "Wide bowl", price: BACKEND_PRICE, quantity: bowls }] },
    }),
  });
  assert.equal(answer.status, 200);
  assert.deepEqual((await answer.json()).results, [{ index: 0, result: "stored" }]);
}

const purchases = (kind) => OF[kind]().filter(({ name }) => name === "purchase");
const numbers = (from) => from.map(({ value }) => value).sort((one, other) => one - other);

test("a purchase arrives once at every destination, with and without the thank-you page", async () => {
  const earlier = Object.fromEntries(Object.keys(OF).map((kind) => [kind, purchases(kind).length]));
  const fresh = (kind) => purchases(kind).slice(earlier[kind]);

  const byPage = await buys(await goesToCheckout(61, 1), true);
  const byBackend = await buys(await goesToCheckout(62, 2), false);
  await paid(byBackend);
  const pageFirst = await buys(await goesToCheckout(63, 3), true);
  await paid(pageFirst);
  const backendFirst = await buys(await goesToCheckout(64, 4), false);
  await paid(backendFirst);
  backendFirst.thanksAreKeptAway = false;
  await backendFirst.page.goto(`${SITE}/thank-you`);
  await backendFirst.page.waitForSelector("#thanks.done");

  const expected = numbers([PAGE_PRICE, 2 * BACKEND_PRICE, 3 * BACKEND_PRICE, 4 * BACKEND_PRICE].map((value) => ({ value })));
  for (const kind of Object.keys(OF)) {
    for (const start = Date.now(); Date.now() - start < PATIENCE_MS && fresh(kind).length < expected.length; ) await pause(100);
  }
  await pause(QUIET_MS);
  for (const kind of Object.keys(OF)) {
    const arrived = fresh(kind);
    assert.deepEqual(numbers(arrived), expected, `${kind}: each once, with the backend's money where it knows of the order`);
    assert.equal(new Set(arrived.map(({ order }) => order)).size, 4, kind);
    for (const purchase of arrived) {
      const bowls = purchase.value === PAGE_PRICE ? 1 : purchase.value / BACKEND_PRICE;
      assert.deepEqual(purchase.items, [["LK-bowl", "Wide bowl", bowls]], kind);
      const visit = OF[kind]().filter(({ visit }) => visit === purchase.visit);
      assert.ok(visit.some(({ name }) => name === "page_view"), `${kind}: of the visit in which it was made`);
      // The page's own says it where the visit began.
      const campaign = purchase.campaign ?? visit.find(({ campaign }) => campaign)?.campaign;
      assert.deepEqual(campaign, { source: "newsletter", medium: "email", name: "autumn" }, kind);
    }
    assert.equal(new Set(arrived.map(({ visit }) => visit)).size, 4, `${kind}: four visitors`);
  }
  for (const { visitor } of [byPage, byBackend, pageFirst, backendFirst]) await visitor.close();
});
