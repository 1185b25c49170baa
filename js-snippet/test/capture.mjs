// A site with a collector that writes down what came, and a Chromium that opens its pages.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import puppeteer from "puppeteer-core";

const built = (name) => readFileSync(new URL(`../dist/${name}`, import.meta.url), "utf8").trim();
const SHIMS = ["gtag", "matomo", "meta", "mixpanel", "plausible", "posthog", "segment", "umami"];

/** The script as the server puts it together: the core, and the parts that a site's document asks for. */
export function scriptOf(config, parts) {
  const names = parts.some((name) => SHIMS.includes(name)) ? ["shims", ...parts] : parts;
  const text = built("snippet.js").replace("__FIRSTHAND_CONFIG__", () => JSON.stringify(config));
  return text.replace("__FIRSTHAND_PARTS__", () => `[${names.map((name) => built(`parts/${name}.js`)).join(",")}]`);
}

const executablePath = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

/** A page's links. None but the last leaves the page. */
const LINKS = `<script>addEventListener("click", (event) => { if (event.target.closest("#leaving") === null) event.preventDefault(); }); addEventListener("auxclick", (event) => event.preventDefault());</script>
<p><a id="same" href="/page/two">here</a> <a id="mail" href="mailto:jane@other.example">mail</a> <button id="button">none</button>
<a id="out" href="https://other.example/jane?doe">out</a> <a href="https://other.example/jane"><b id="inside-out">out</b></a>
<a id="file" href="https://other.example/jane/Doe.PDF?x">file</a> <a id="download" href="/jane" download>file</a>
<a id="leaving" href="{{another host}}">leave</a>`;

/** As strict as a page can be: scripts by nonce alone, nothing made of text, requests to its own host alone. */
const STRICT = "default-src 'none'; script-src 'nonce-once' 'strict-dynamic'; connect-src 'self'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/** Starts the site. `messages`: every collector request, in order. `answer`: what the collector does with the next ones. */
export async function startSite() {
  const messages = [];
  // A message that was under way when its visitor left must not be counted for the next one: each connection is one visitor's.
  let visitors = 0;
  const site = { messages, answer: (_message, reply) => reply(204) };
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://site");
    if (url.pathname === "/q/e") {
      let body = "";
      try {
        for await (const piece of request) body += piece;
      } catch {
        return; // The visitor left in the middle of it.
      }
      if (request.socket.visitor !== visitors) return response.destroy();
      const message = { method: request.method, url: request.url, headers: request.headers, body: JSON.parse(body) };
      messages.push(message);
      site.answer(message, (status, headers) => response.writeHead(status, headers).end());
    } else if (url.pathname.startsWith("/q/core.")) {
      const config = { e: "/q/e", u: url.pathname.includes("exempt"), g: "fpw", o: url.pathname.includes("override"), b: url.searchParams.has("bait") ? "/q/matomo.js" : undefined, r: url.searchParams.get("measured")?.split(",") };
      const parts = (url.searchParams.get("parts") ?? "").split(",").filter(Boolean);
      response.writeHead(200, { "content-type": "text/javascript" }).end(scriptOf(config, parts));
    } else if (url.pathname.startsWith("/installed/")) {
      const file = new URL(`../node_modules/${url.pathname.slice("/installed/".length)}`, import.meta.url);
      if (!existsSync(file)) return response.writeHead(404).end();
      response.writeHead(200, { "content-type": url.pathname.endsWith(".css") ? "text/css" : "text/javascript; charset=utf-8" }).end(readFileSync(file));
    } else if (url.pathname === "/q/matomo.js") {
      response.writeHead(204).end();
    } else if (url.pathname.startsWith("/page")) {
      const name = (url.searchParams.has("consent-only") ? "consent" : "exempt") + (url.searchParams.has("override") ? "-override" : "");
      const stub = url.searchParams.get("stub") ?? "";
      const follow = url.searchParams.has("follow") ? ` data-follow="${url.searchParams.get("follow")}"` : "";
      const asked = ["parts", "bait", "measured"].filter((name) => url.searchParams.has(name)).map((name) => `${name}=${url.searchParams.get(name)}`);
      const parts = asked.length ? `?${asked.join("&")}` : "";
      const strict = url.pathname === "/page/strict" ? { "content-security-policy": STRICT } : {};
      response.writeHead(url.pathname === "/page/gone" ? 404 : 200, { "content-type": "text/html", ...strict });
      response.end(`<!doctype html><title>A page</title><script nonce="once">${stub}</script><script nonce="once" src="/q/core.${name}.js${parts}"${follow}></script>${url.pathname === "/page/links" ? LINKS.replace("{{another host}}", site.url.replace("127.0.0.1", "localhost") + "/page") : ""}`);
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  server.on("connection", (socket) => { socket.visitor = visitors; });
  // Requests of a page that is gone may still be on their way: until none has come for a while.
  site.silence = async () => {
    for (let seen = -1; seen !== messages.length; ) {
      seen = messages.length;
      await pause(150);
    }
  };
  site.nextVisitor = () => {
    visitors += 1;
    messages.length = 0;
    site.answer = (_message, reply) => reply(204);
  };
  site.url = `http://127.0.0.1:${server.address().port}`;
  site.stop = () => {
    server.closeAllConnections();
    return new Promise((stopped) => server.close(stopped));
  };
  return site;
}

/** Starts Chromium with a profile of its own. */
export async function startBrowser() {
  if (!executablePath) throw new Error("no Chromium found: install the package chromium, or name it in the variable CHROMIUM");
  const profile = mkdtempSync(join(tmpdir(), "chromium-"));
  const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  const browser = await puppeteer.launch({ executablePath, headless: true, userDataDir: profile, args: flags });
  return {
    browser,
    async stop() {
      await browser.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
