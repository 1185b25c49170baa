// A page with a consent tool: the snippet follows the IAB's own ones, and Consent Mode where asked, without a call by the page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { gppStub, gppTool, tcfStub, tcfTool, tcString } from "./consent-tools.mjs";
import { held, open, QUIET_MS, received, site, until } from "./visit.mjs";

const ANALYTICS = tcString(1, 8, 9);
const ALL = tcString(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
const NONE = tcString();

const update = (page, ...state) => page.evaluate((...all) => tcf.update(...all), ...state);
/** What a message says of the choice. */
const choice = ({ g, gt, gp, e }) => ({ g, gt, gp, events: e?.length });
const said = async (count) => choice((await received(count))[count - 1]);
const YES = (gt) => ({ g: undefined, gt, gp: undefined, events: 1 });
const NO = { g: [], gt: undefined, gp: undefined, events: undefined };
const UNKNOWN = { g: undefined, gt: undefined, gp: undefined, events: 1 };

const GRANTED = { analytics_storage: "granted", ad_storage: "granted", ad_user_data: "granted", ad_personalization: "granted" };
const DENIED = { analytics_storage: "denied", ad_storage: "denied", ad_user_data: "denied", ad_personalization: "denied" };
const gtag = `window.dataLayer = window.dataLayer || []; function gtag() { dataLayer.push(arguments); }`;
const consentMode = (page, command, state) => page.evaluate((...all) => gtag("consent", ...all), command, state);

test("TCF: a yes from an earlier page goes with the first page view", async () => {
  const page = await open("/page", `${tcfStub}; ${tcfTool}; tcf.update("${ANALYTICS}");`);
  assert.deepEqual(await said(1), YES(ANALYTICS));
  assert.equal(await held(page), 0);
});

test("TCF: a no from an earlier page comes before the first page view, which does not leave", async () => {
  const page = await open("/page", `${tcfStub}; ${tcfTool}; tcf.update("${NONE}");`);
  assert.deepEqual(await said(1), NO);
  assert.equal(await held(page), 0);
});

for (const [when, prepare] of [["after its stub", tcfStub], ["after the snippet, without a stub", undefined]]) {
  test(`TCF: the tool comes ${when}; while it asks nothing is chosen, then a yes sends the copies, and a withdrawal ends it`, async () => {
    const page = await open("/page", prepare);
    await received(1);
    await page.addScriptTag({ content: tcfTool });
    await update(page, ALL, true);
    await pause(600); // the snippet looks for a tool four times a second
    await page.evaluate(() => fpw.event("own"));
    assert.deepEqual(await said(2), UNKNOWN, "the string under the banner is no choice");
    assert.equal(await held(page), 2);
    await update(page, ANALYTICS);
    assert.deepEqual(await said(3), { ...YES(ANALYTICS), events: 2 });
    assert.deepEqual(site.messages[2].body.e.map((event) => event.h), [1, 1]);
    await update(page, NONE, true);
    await page.evaluate(() => fpw.event("own"));
    assert.deepEqual(await said(4), YES(ANALYTICS), "the banner is open again; what was chosen holds");
    await update(page, NONE);
    await page.evaluate(() => fpw.event("own"));
    assert.deepEqual(await said(5), NO);
    await update(page, ANALYTICS);
    await page.evaluate(() => fpw.event("own"));
    assert.deepEqual(await said(6), YES(ANALYTICS));
  });
}

test("TCF: what grants none of ours is a no", async () => {
  const page = await open("/page", tcfStub);
  await received(1);
  await page.addScriptTag({ content: tcfTool });
  await update(page, tcString(1, 8, 10));
  assert.deepEqual(await said(2), NO);
  assert.equal(await held(page), 0);
});

test("TCF: where GDPR does not apply, nothing is chosen", async () => {
  const page = await open("/page", `${tcfStub}; ${tcfTool}; tcf.update(null);`);
  assert.deepEqual(await said(1), UNKNOWN);
  assert.equal(await held(page), 1);
});

test("TCF and the page's own word: what both allow, and a no of either is one", async () => {
  const page = await open("/page", `${tcfStub}; ${tcfTool}; tcf.update("${ANALYTICS}");`);
  await received(1);
  await page.evaluate(() => { fpw.consent(["analytics", "ads"], 3600); fpw.event("own"); });
  assert.deepEqual(await said(2), { ...YES(ANALYTICS), g: ["analytics", "ads"] });
  await page.evaluate(() => { fpw.consent(["ads"]); fpw.event("own"); });
  assert.deepEqual(await said(3), NO, "nothing in common");
  await page.evaluate(() => { fpw.consent(["analytics"]); fpw.event("own"); });
  assert.deepEqual(await said(4), { ...YES(ANALYTICS), g: ["analytics"] });
  await page.evaluate(() => { fpw.consent([]); fpw.event("own"); });
  assert.deepEqual(await said(5), NO);
  await update(page, ALL);
  await page.evaluate(() => fpw.event("own"));
  await received(5);
});

test("the page's consent ends: the tool's refusal does not", async () => {
  const page = await open("/page", `${tcfStub}; ${tcfTool};`);
  await received(1);
  await page.evaluate(() => fpw.consent(["analytics"], 1));
  await received(2);
  await update(page, NONE);
  assert.deepEqual(await said(3), NO);
  await pause(1000);
  await page.evaluate(() => fpw.event("own"));
  await received(3);
});

test("the page's consent ends: the tool's yes alone is none until it is said again", async () => {
  const page = await open("/page", `${tcfStub}; ${tcfTool}; tcf.update("${ANALYTICS}");`);
  await received(1);
  await page.evaluate(() => fpw.consent(["analytics"], 1));
  await pause(1000);
  await page.evaluate(() => fpw.event("own"));
  assert.deepEqual(await said(2), UNKNOWN);
  await update(page, ANALYTICS);
  assert.deepEqual(await said(3), YES(ANALYTICS));
});

test("an opt-out outlasts a tool's yes; taken back, the tool's word counts again", async () => {
  const page = await open("/page", `${tcfStub}; ${tcfTool}; tcf.update("${ANALYTICS}");`);
  await received(1);
  await page.evaluate((yes) => { fpw.optOut(); tcf.update(yes); fpw.event("own"); }, ANALYTICS);
  assert.equal((await received(2))[1].o, 1);
  await page.evaluate(() => fpw.optIn());
  await received(3);
  await page.evaluate(() => fpw.event("own"));
  assert.deepEqual(await said(4), YES(ANALYTICS));
});

test("under Global Privacy Control a tool's yes changes nothing", async () => {
  await open("/page", `Object.defineProperty(Navigator.prototype, "globalPrivacyControl", { get: () => true }); ${tcfStub}; ${tcfTool}; tcf.update("${ALL}");`);
  assert.deepEqual(await said(1), NO);
});

const GPC = `Object.defineProperty(Navigator.prototype, "globalPrivacyControl", { get: () => true });`;
const DNT = `Object.defineProperty(Navigator.prototype, "doNotTrack", { get: () => "1" });`;

test("where a yes on the site outranks Global Privacy Control: nothing but the objection before it, its words after it, and a no ends it", async () => {
  const page = await open("/page?override", `${GPC} ${tcfStub};`);
  await page.evaluate(() => fpw.event("own"));
  assert.deepEqual(await said(1), NO);
  assert.equal(await held(page), 0);
  await page.evaluate(() => { fpw.consent(["analytics"]); fpw.event("own"); });
  assert.deepEqual(await said(2), { ...YES(undefined), g: ["analytics"] });
  await page.evaluate(() => { fpw.consent([]); fpw.event("own"); });
  assert.deepEqual(await said(3), NO);
  await page.addScriptTag({ content: tcfTool });
  await page.evaluate(() => { fpw.consent(["analytics"], 0); fpw.event("own"); }); // it ends at once
  await received(3);
  await update(page, ANALYTICS);
  await page.evaluate(() => fpw.event("own"));
  assert.deepEqual(await said(4), YES(ANALYTICS));
  await page.evaluate(() => { fpw.optOut(); fpw.consent(["analytics"]); fpw.event("own"); });
  assert.equal((await received(5))[4].o, 1);
  assert.deepEqual(page.errors, []);
});

test("a yes that is known already comes before the page view, and no objection before it", async () => {
  await open(`/page?override&stub=${encodeURIComponent(`fpw = [["consent", ["analytics"]]]`)}`, GPC);
  assert.deepEqual(await said(1), { ...YES(undefined), g: ["analytics"] });
});

test("neither Consent Mode nor a yes under Do Not Track outranks anything", async () => {
  const page = await open("/page?override&follow=gcm", `${GPC} ${gtag}; gtag("consent", "update", ${JSON.stringify(GRANTED)});`);
  await page.evaluate(() => fpw.event("own"));
  assert.deepEqual(await said(1), NO);
  const other = await open("/page?override", `${GPC} ${DNT}`);
  await other.evaluate(() => { fpw.consent(["analytics"]); fpw.event("own"); });
  assert.deepEqual(await said(2), NO);
});

// The stub puts a frame into the page, where the same preparation runs.
test("a tool's yes leaves alone what waits in storage: of that the page speaks", async () => {
  const page = await open("/page", `if (window === top) localStorage.setItem("fpw-q", JSON.stringify([{ k: "earlier", i: "i", t: Date.now() }])); ${tcfStub}; ${tcfTool}; tcf.update("${ANALYTICS}");`);
  await received(1);
  assert.match(await page.evaluate(() => localStorage.getItem("fpw-q")), /earlier/);
  await page.evaluate(() => fpw.consent(["analytics"], 3600, { storage: true }));
  assert.equal((await received(2))[1].e[0].k, "earlier");
});

test("GPP: the string goes along once it is ready, and grants nothing by itself in the United States", async () => {
  const page = await open("/page", gppStub);
  await page.addScriptTag({ content: gppTool });
  const gp = await page.evaluate(() => {
    gpp.setFieldValue("usnat", "SaleOptOut", 2);
    fpw.event("not ready");
    gpp.setSignalStatus("ready");
    fpw.event("own");
    return gpp.getGppString();
  });
  await received(2);
  assert.deepEqual(site.messages.map(({ body }) => body.gp), [undefined, gp], "as it is when they leave");
  assert.ok(site.messages.every(({ body }) => body.g === undefined && body.gt === undefined));
  assert.equal(await held(page), 3);
  await page.evaluate(() => fpw.consent(["analytics"]));
  assert.deepEqual(await said(3), { g: ["analytics"], gt: undefined, gp, events: 3 });
});

test("GPP: what changes on the page is said at once", async () => {
  const page = await open("/page", `${gppStub}; ${gppTool}; gpp.setFieldValue("usnat", "SaleOptOut", 2); gpp.setSignalStatus("ready");`);
  await page.evaluate(() => fpw.consent(["analytics", "ads"]));
  await received(2);
  const gp = await page.evaluate(() => {
    gpp.setSignalStatus("not ready");
    gpp.setFieldValue("usnat", "SaleOptOut", 1);
    gpp.setSignalStatus("ready");
    return gpp.getGppString();
  });
  assert.deepEqual(await said(3), { g: undefined, gt: undefined, gp, events: undefined });
});

test("GPP: a yes and a no of its European section are a yes and a no", async () => {
  const page = await open("/page", `${gppStub}; ${gppTool};`);
  await received(1);
  const choose = (...consents) => page.evaluate((all) => {
    gpp.setFieldValue("tcfeuv2", "PurposeConsents", all);
    gpp.setSignalStatus("ready");
    return gpp.getGppString();
  }, Array.from({ length: 24 }, (_, at) => consents.includes(at + 1)));
  const gp = await choose(1, 8, 9);
  assert.deepEqual(await said(2), { ...YES(undefined), gp });
  await choose();
  await page.evaluate(() => fpw.event("own"));
  assert.deepEqual(await said(3), NO);
});


test("Consent Mode: not followed unless the script tag says so", async () => {
  const page = await open("/page", `${gtag}; gtag("consent", "update", ${JSON.stringify(GRANTED)});`);
  await consentMode(page, "update", GRANTED);
  assert.deepEqual(await said(1), UNKNOWN);
});

test("Consent Mode: defaults are no choice; an update is one, partly, wholly, and back", async () => {
  const page = await open("/page?follow=tcf+gcm", `${gtag}; gtag("consent", "default", ${JSON.stringify(DENIED)}); gtag("consent", "default", ${JSON.stringify({ ...GRANTED, region: ["US"] })}); gtag("js", new Date());`);
  assert.deepEqual(await said(1), UNKNOWN);
  await consentMode(page, "default", GRANTED);
  assert.deepEqual(await said(1), UNKNOWN);
  await consentMode(page, "update", { functionality_storage: "granted" });
  assert.equal(await held(page), 1);
  await consentMode(page, "update", { analytics_storage: "granted", ad_storage: "granted" });
  assert.deepEqual(await said(2), { ...YES(undefined), g: ["analytics"] });
  await consentMode(page, "update", { ad_user_data: "granted", ad_personalization: "granted" });
  await page.evaluate(() => fpw.event("own"));
  assert.deepEqual(await said(3), { ...YES(undefined), g: ["analytics", "ads"] });
  await page.evaluate(() => { fpw.consent(["ads", "profile"]); fpw.event("own"); });
  assert.deepEqual(await said(4), { ...YES(undefined), g: ["ads"] });
  await consentMode(page, "update", DENIED);
  await page.evaluate(() => fpw.event("own"));
  assert.deepEqual(await said(5), NO);
  assert.equal(await page.evaluate(() => dataLayer.length), 8, "the page's own entries are all there");
});

test("Consent Mode: an update that was there before counts with the first page view", async () => {
  await open("/page?follow=gcm", `${gtag}; gtag("consent", "update", ${JSON.stringify(GRANTED)});`);
  assert.deepEqual(await said(1), { ...YES(undefined), g: ["analytics", "ads"] });
});

test("Consent Mode: the data layer may come later", async () => {
  const page = await open("/page?follow=gcm");
  await received(1);
  await page.addScriptTag({ content: `${gtag}; gtag("consent", "update", ${JSON.stringify(DENIED)});` });
  assert.deepEqual(await said(2), NO);
});

test("with an empty list, no tool is followed", async () => {
  await open("/page?follow=", `${tcfStub}; ${tcfTool}; tcf.update("${NONE}"); ${gppStub}; ${gppTool}; gpp.setSignalStatus("ready");`);
  assert.deepEqual(await said(1), UNKNOWN);
});

const BROKEN = {
  "throws when asked": `window.__tcfapi = window.__gpp = () => { throw new Error("broken"); }; window.dataLayer = 7;`,
  "never answers": `window.__tcfapi = window.__gpp = () => {}; window.dataLayer = {};`,
  "is no function": `window.__tcfapi = window.__gpp = window.dataLayer = "here";`,
  "answers without data": `window.__tcfapi = (_command, _version, callback) => { callback(null, true); callback(); callback({}, true); callback("x", true); };
    window.__gpp = (_command, callback) => { callback(null, true); callback(); callback({}, true); callback({ pingData: 7 }, true); };
    window.dataLayer = [null, undefined, 7, "consent", ["consent"], ["consent", "update"], ["consent", "update", null], ["consent", "update", 7]];`,
  "says that it failed": `window.__tcfapi = (_command, _version, callback) => callback({ gdprApplies: true, eventStatus: "tcloaded", tcString: "${ALL}", purpose: { consents: { 1: true, 8: true, 9: true } } }, false);`,
};
for (const [what, tool] of Object.entries(BROKEN)) {
  test(`a tool that ${what}: nothing is chosen, the page's own word counts, and the page sees no error`, async () => {
    const page = await open("/page?follow=tcf+gpp+gcm", tool);
    assert.deepEqual(await said(1), UNKNOWN);
    await page.evaluate(() => fpw.consent(["analytics"]));
    assert.deepEqual(await said(2), { ...YES(undefined), g: ["analytics"] });
    assert.deepEqual(page.errors, []);
  });
}

test("a tool that throws at first is asked again", async () => {
  await open("/page", `let asked = 0; window.__tcfapi = (_command, _version, callback) => {
    if (++asked < 3) throw new Error("not yet");
    callback({ gdprApplies: true, eventStatus: "tcloaded", tcString: "${NONE}", purpose: { consents: {} } }, true);
  };`);
  await until(() => site.messages.length === 2, "the refusal");
  assert.deepEqual(await said(2), NO);
});

test("nonsense for a string goes as it is, and the server counts it as a no; no string, or consents that are not plainly true, are a no here", async () => {
  const tool = (tcData) => `window.__tcfapi = (_command, _version, callback) => { window.say = (data) => callback({ gdprApplies: true, eventStatus: "tcloaded", ...data }, true); say(${JSON.stringify(tcData)}); };
    window.__gpp = (_command, callback) => { const circle = {}; circle.circle = circle; callback({ pingData: { signalStatus: "ready", gppString: circle, parsedSections: 7 } }, true); };`;
  const page = await open("/page", tool({ tcString: "☃ nonsense", purpose: { consents: { 1: true, 8: true, 9: true } } }));
  const { gt, gp } = await said(1);
  assert.deepEqual([gt, gp], ["☃ nonsense", "[object Object]"]);
  await page.evaluate((tcString) => say({ tcString, purpose: { consents: { 1: 1, 8: "yes", 9: "true" } } }), ALL);
  assert.deepEqual(await said(2), NO);
  await page.evaluate((tcString) => say({ tcString, purpose: { consents: { 1: true, 8: true, 9: true } } }), ALL);
  await page.evaluate(() => { say({ purpose: { consents: { 1: true, 8: true, 9: true } } }); fpw.event("own"); });
  assert.deepEqual(await said(3), NO);
  assert.deepEqual(page.errors, []);
});
