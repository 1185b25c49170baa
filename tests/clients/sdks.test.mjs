// SDKs for servers, unmodified from npm: a backend of the shop's tells of a page, an event of the shop's own, an order and a person, once of a visitor whose cookie it
// knows and who agreed, and once of somebody by an id of its own. What arrives is compared with what it was told, and no other host is asked.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { arrivals, closeShop, door, KEYS, names, openShop, table, WRITE_KEY } from "./shop.mjs";

const run = promisify(execFile);
const SDK_MS_MAX = 60_000;
const SCRIPT = new URL("sdks.mjs", import.meta.url).pathname;
const installed = createRequire(import.meta.url)("./package.json").devDependencies;
const ITEM = { id: "cup-1", name: "Cup", category: "Tableware", price: 12.5, quantity: 2 };
const MONEY = { value: 25, currency: "EUR", tax: 2.5, shipping: 3.9, items: [ITEM] };
const NAMES = ["identify", "newsletter_opened", "page_view", "purchase"];
const WITHOUT_A_PERSON = NAMES.slice(1);

/** `order`: what of an order it has words for. `says`: whether it can say a choice itself. */
const SDKS = [
  { name: "matomo-tracker", key: KEYS.matomo, names: WITHOUT_A_PERSON, order: { ...MONEY, currency: undefined } },
  { name: "posthog-node", key: KEYS.posthog, names: NAMES, order: MONEY },
  { name: "mixpanel", key: KEYS.mixpanel, names: NAMES, order: MONEY },
  { name: "@amplitude/analytics-node", key: KEYS.amplitude, names: NAMES, order: MONEY },
  { name: "@segment/analytics-node", key: WRITE_KEY, names: NAMES, order: MONEY, says: true },
  { name: "@umami/node", key: KEYS.umami, names: WITHOUT_A_PERSON, order: MONEY },
  { name: "@snowplow/node-tracker", key: KEYS.snowplow, names: WITHOUT_A_PERSON, order: MONEY },
];

before(openShop);
after(closeShop);

/** What the SDK did. */
async function told({ name, key }, id) {
  const base = door();
  const { stdout } = await run(process.execPath, [SCRIPT, name, base, key, id], { timeout: SDK_MS_MAX });
  const { hosts, complaints } = JSON.parse(stdout);
  assert.deepEqual(hosts, [new URL(base).host], "nobody else is asked");
  assert.deepEqual(complaints, [], "it is content with the answers");
}

/** The value of the cookie of a visitor who has just agreed, as the shop's backend reads it. */
async function agreed() {
  const answer = await fetch(`${door()}/e`, { method: "POST", body: JSON.stringify({ g: ["analytics"], e: [{ k: "login" }] }) });
  const { customers } = await arrivals();
  return { cookie: /^[^=]+=([^;]+)/.exec(answer.headers.getSetCookie()[0])[1], visitor: customers.find(({ name }) => name === "login").visitor_id };
}

for (const sdk of SDKS) {
  test(`${sdk.name}: an order of a visitor who agreed arrives as it was told, as theirs`, async () => {
    const { cookie, visitor } = await agreed();
    await told(sdk, cookie);
    const { customers } = await arrivals();
    assert.deepEqual(names(customers), sdk.names);
    assert.deepEqual([...new Set(customers.map(({ visitor_id: id }) => id))], [visitor], "the visitor's own events");
    const [order] = customers.filter(({ name }) => name === "purchase");
    const { value, currency, tax, shipping, items } = order;
    assert.deepEqual({ value, currency, tax, shipping, items }, sdk.order);
    const [viewed] = customers.filter(({ name }) => name === "page_view");
    assert.deepEqual([viewed.page.path, viewed.campaign], ["/orders/{n}", { source: "news" }]);
    assert.ok(customers.every(({ bot }) => bot), "a program sent it, and that is said");
    assert.doesNotMatch(JSON.stringify(customers), new RegExp(`jane|A-1001|${cookie}`));
  });

  test(`${sdk.name}: of somebody by an id of the shop's own, measurement learns what happened, and no more`, async () => {
    await told(sdk, "jane-1");
    const { measurement, customers } = await arrivals();
    assert.deepEqual([names(measurement), names(customers)], [sdk.names, sdk.says ? sdk.names : []]);
    assert.doesNotMatch(JSON.stringify({ measurement, customers }), /jane|A-1001/);
    for (const event of measurement.filter(() => !sdk.says)) {
      assert.deepEqual(event.consent, { state: "unknown", purposes: [] });
      for (const field of ["value", "currency", "order_id", "items", "campaign"]) assert.ok(!(field in event), field);
    }
  });

  test(`${sdk.name}: the table names the version that is tried`, () => {
    assert.equal(table()[sdk.name]?.tried, installed[sdk.name]);
  });
}
