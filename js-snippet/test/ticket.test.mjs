// The ticket of a visit: asked for where the visitor has agreed, and nowhere else.
import assert from "node:assert/strict";
import { test } from "node:test";
import { open } from "./visit.mjs";

/** Opens a page whose requests for a ticket are answered so, and tells what it was asked for. */
const asking = async (answer) => {
  const page = await open("/page");
  await page.evaluate((answer) => {
    const real = window.fetch;
    window.asked = [];
    window.fetch = (address, options) => {
      if (!String(address).endsWith("/v")) return real(address, options);
      window.asked.push([String(address), options.method, options.body ?? ""]);
      return answer ? Promise.resolve(new Response(answer, { status: 200 })) : Promise.reject(new TypeError("no network"));
    };
  }, answer);
  const ticket = () => page.evaluate(() => window.fpw.ticket());
  return { page, ticket, asked: () => page.evaluate(() => window.asked.length) };
};

test("who has agreed gets the server's, who has not nothing, and who objects a no", async () => {
  const { page, ticket, asked } = await asking("sealed");
  assert.deepEqual([await ticket(), await asked()], ["", 0]);
  await page.evaluate(() => window.fpw.consent(["analytics"]));
  assert.deepEqual([await ticket(), await asked()], ["sealed", 1]);
  assert.deepEqual((await page.evaluate(() => window.asked[0])).slice(1), ["POST", ""]);
  await page.evaluate(() => window.fpw.consent([]));
  assert.deepEqual([await ticket(), await asked()], ["no", 1]);
});

test("a server that does not answer costs the page nothing", async () => {
  const { page, ticket } = await asking("");
  await page.evaluate(() => window.fpw.consent(["analytics"]));
  assert.equal(await ticket(), "");
});
