// The browsers of the matrix: each with a profile of its own, behind the web's proxy. A browser or blocker that is not there throws LeftOut.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";
import { FLAGS } from "./chromium.mjs";
import { TRACKER } from "./web.mjs";

/** Why a part of the matrix cannot run on this machine. */
export class LeftOut extends Error {}

const FIREFOX_BLOCKER = "/usr/share/mozilla/extensions/{ec8030f7-c20a-464f-9b0e-13a3a9e97384}/uBlock0@raymondhill.net";
const CHROMIUM_BLOCKER = "/usr/share/chromium/extensions/ublock-origin";

const found = (name, paths, from) => {
  const path = [process.env[name], ...paths].find((each) => each && existsSync(each));
  if (!path) throw new LeftOut(`not installed: the package ${from} has it`);
  return path;
};

async function launch(options) {
  const profile = mkdtempSync(join(tmpdir(), "browser-"));
  const browser = await puppeteer.launch({ headless: true, userDataDir: profile, acceptInsecureCerts: true, ...options });
  return {
    browser,
    async stop() {
      await browser.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function chromium(proxy, { blocker }) {
  const executablePath = found("CHROMIUM", ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"], "chromium");
  const args = [...FLAGS, `--proxy-server=127.0.0.1:${proxy}`];
  if (blocker) {
    const path = found("", [CHROMIUM_BLOCKER], "webext-ublock-origin-chromium");
    const { manifest_version: version } = JSON.parse(readFileSync(join(path, "manifest.json"), "utf8"));
    // Chromium 139 took the last way to run an extension of version 2 away.
    if (version < 3) throw new LeftOut(`the package's uBlock Origin has manifest version ${version}, which this Chromium runs no more`);
    args.push(`--disable-extensions-except=${path}`, `--load-extension=${path}`);
  }
  return launch({ executablePath, args, ...(blocker && { enableExtensions: true }) });
}

async function firefox(proxy, { blocker, strict, objects }) {
  const executablePath = found("FIREFOX", ["/usr/bin/firefox-esr", "/usr/bin/firefox"], "firefox-esr");
  const path = blocker && found("", [FIREFOX_BLOCKER], "webext-ublock-origin-firefox");
  const extraPrefsFirefox = {
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": proxy,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": proxy,
    "network.proxy.no_proxies_on": "",
    "browser.contentblocking.category": strict ? "strict" : "standard",
    "privacy.trackingprotection.enabled": !!strict,
    "privacy.trackingprotection.emailtracking.enabled": !!strict,
    "privacy.trackingprotection.socialtracking.enabled": !!strict,
    // Its lists come by the network, which is not there: the protection is the real one, with a list of one tracker.
    ...(strict && { "urlclassifier.trackingTable.testEntries": TRACKER }),
    "privacy.query_stripping.enabled": !!strict,
    "privacy.globalprivacycontrol.enabled": !!objects,
    "privacy.globalprivacycontrol.functionality.enabled": true,
  };
  const started = await launch({ browser: "firefox", executablePath, extraPrefsFirefox });
  if (path) await started.browser.installExtension(path);
  return started;
}

/** Each: its name, how to start it, and whether it keeps a listed tracker away, which is how the test sees that the protection is on. */
export const BROWSERS = [
  { name: "Chromium", start: (proxy) => chromium(proxy, {}), protects: false },
  { name: "Chromium with uBlock Origin", start: (proxy) => chromium(proxy, { blocker: true }), protects: true },
  { name: "Firefox", start: (proxy) => firefox(proxy, {}), protects: false },
  { name: "Firefox with strict tracking protection", start: (proxy) => firefox(proxy, { strict: true }), protects: true },
  { name: "Firefox with uBlock Origin", start: (proxy) => firefox(proxy, { blocker: true }), protects: true },
];
/** A browser that objects by itself: Firefox has a setting for it, Chromium has none. */
export const OBJECTING = { name: "Firefox with Global Privacy Control", start: (proxy) => firefox(proxy, { objects: true }), protects: false };
