// A small web behind one proxy, for browsers of which blockers must believe that it is the real one: two shops that route a path of theirs
// to Firsthand, as a site's own web server does, a listed tracker, and another site. Every other host answers 404.
//
// A proxy, and no mapping of names: with a mapping, uBlock Origin takes 127.0.0.1 for the canonical name of every host.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer as createProxy, request } from "node:http";
import { createServer } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";

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
  const [key, certificate] = ["key.pem", "certificate.pem"].map((name) => join(directory, name));
  const names = [...Object.keys(shops), TRACKER, ELSEWHERE].map((host) => `DNS:${host}`).join(",");
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=test", "-addext", `subjectAltName=${names}`, "-keyout", key, "-out", certificate], { stdio: "ignore" });
  const web = { beacons: [], tracked: 0 };
  const server = createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, async (asked, reply) => {
    const { host } = asked.headers;
    const url = new URL(asked.url, `https://${host}`);
    const prefix = shops[host];
    const html = (text) => reply.writeHead(200, { "content-type": "text/html" }).end(text);
    if (host === TRACKER) {
      web.tracked += 1;
      return reply.writeHead(200, { "content-type": "text/javascript" }).end("");
    }
    if (host === ELSEWHERE) return html("<!doctype html><title>Elsewhere</title>");
    if (!prefix) return reply.writeHead(404).end();
    if (!url.pathname.startsWith(`${prefix}/`)) {
      const stub = { yes: `["consent",["analytics"],3600]`, no: `["consent",[]]` }[url.searchParams.get("said")] ?? "";
      return html(page(`A shop: ${url.pathname}`, stub, prefix));
    }
    const pieces = [];
    for await (const piece of asked) pieces.push(piece);
    const body = Buffer.concat(pieces);
    if (asked.method === "POST") web.beacons.push({ host, body: JSON.parse(body.toString()) });
    const headers = { ...asked.headers, "x-forwarded-for": web.from ?? "192.0.2.1", "x-forwarded-proto": "https" };
    const onward = request(`${upstream}${asked.url}`, { method: asked.method, headers }, (answer) => {
      reply.writeHead(answer.statusCode, answer.headers);
      answer.pipe(reply);
    });
    onward.on("error", () => reply.writeHead(502).end());
    onward.end(body);
  });
  const proxy = createProxy((_asked, reply) => reply.writeHead(404).end());
  proxy.on("connect", (_asked, socket) => {
    const inner = connect(server.address().port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      inner.pipe(socket).pipe(inner);
    });
    for (const [one, other] of [[inner, socket], [socket, inner]]) one.on("error", () => other.destroy());
  });
  await Promise.all([server, proxy].map((each) => new Promise((listening) => each.listen(0, "127.0.0.1", listening))));
  web.proxy = proxy.address().port;
  web.stop = () => {
    server.closeAllConnections();
    proxy.closeAllConnections();
    server.close();
    proxy.close();
  };
  return web;
}
