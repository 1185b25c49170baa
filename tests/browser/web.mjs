// A small web for browsers of which blockers must believe that it is the real one: shops that route a path of theirs to Firsthand, as a site's
// own web server does, a listed tracker, and another site. Every other host answers 404.
import { bodyOf, passOn, startHosts } from "./hosts.mjs";

export const TRACKER = "www.google-analytics.com";
const ELSEWHERE = "www.elsewhere.example";
/** Counts as a minute what is an instant: the snippet sends no time in sight below a second, and the test is about the sending. */
const HURRY = "const now = performance.now.bind(performance); performance.now = () => now() * 1000;";

const page = (title, stub, prefix) => `<!doctype html><html lang="en"><title>${title}</title><link rel="icon" href="data:,">
<script>${HURRY} (window.fpw = window.fpw || []).push(${stub}); window.tracker = new Promise((known) => {
  const control = document.createElement("script");
  control.onload = control.onerror = () => known();
  control.src = "https://${TRACKER}/analytics.js";
  addEventListener("DOMContentLoaded", () => document.head.append(control));
});</script>
<script src="${prefix}/core.js"></script>
<h1>${title}</h1><p><a id="out" href="https://${ELSEWHERE}/">another site</a></p></html>`;

/**
 * Starts it. `shops`: host → the path that is Firsthand's there. `beacons`: what came to those paths; `tracked`: how often the tracker was reached.
 */
export async function startWeb(directory, shops, upstream) {
  const web = { beacons: [], tracked: 0 };
  const hosts = await startHosts(directory, [...Object.keys(shops), TRACKER, ELSEWHERE], async (asked, reply) => {
    const { host } = asked.headers;
    const url = new URL(asked.url, `https://${host}`);
    const prefix = shops[host];
    const html = (text) => reply.writeHead(200, { "content-type": "text/html" }).end(text);
    if (host === TRACKER) {
      web.tracked += 1;
      return reply.writeHead(200, { "content-type": "text/javascript" }).end("window.google_tag_manager = {};");
    }
    if (host === ELSEWHERE) return html("<!doctype html><title>Elsewhere</title>");
    if (!prefix) return reply.writeHead(404).end();
    if (!url.pathname.startsWith(`${prefix}/`)) {
      const stub = { yes: `["consent",["analytics"],3600]`, no: `["consent",[]]` }[url.searchParams.get("said")] ?? "";
      return html(page(`A shop: ${url.pathname}`, stub, prefix));
    }
    const body = await bodyOf(asked);
    if (asked.method === "POST") web.beacons.push({ host, body: JSON.parse(body.toString()) });
    const answer = await passOn(asked, body, upstream, web.from ?? "192.0.2.1");
    if (!answer) return reply.writeHead(502).end();
    reply.writeHead(answer.statusCode, answer.headers);
    answer.pipe(reply);
  });
  return Object.assign(web, { hosts });
}
