// Hosts of our own making, served over TLS behind one proxy, so that a browser believes that they are the real ones.
//
// A proxy, and no mapping of names: with a mapping, uBlock Origin takes 127.0.0.1 for the canonical name of every host.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer as createProxy, request } from "node:http";
import { createServer } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";

/**
 * Serves these hosts by `answer(asked, reply)`, on every port. `connected`: the authorities (`host:port`) that browsers asked the proxy for. `stops`, where it is set, says of a request
 * whether a blocker stands before it: its connection ends then, and nobody has seen it.
 */
export async function startHosts(directory, hosts, answer) {
  const [key, certificate] = ["key.pem", "certificate.pem"].map((name) => join(directory, name));
  const names = hosts.map((host) => `DNS:${host}`).join(",");
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=test", "-addext", `subjectAltName=${names}`, "-keyout", key, "-out", certificate], { stdio: "ignore" });
  const connected = new Set();
  const server = createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (asked, reply) => (started.stops?.(asked) ? reply.destroy() : answer(asked, reply)));
  const proxy = createProxy((asked, reply) => {
    connected.add(URL.parse(asked.url)?.host);
    reply.writeHead(404).end();
  });
  proxy.on("connect", (asked, socket) => {
    connected.add(asked.url);
    const inner = connect(server.address().port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      inner.pipe(socket).pipe(inner);
    });
    for (const [one, other] of [[inner, socket], [socket, inner]]) one.on("error", () => other.destroy());
  });
  await Promise.all([server, proxy].map((each) => new Promise((listening) => each.listen(0, "127.0.0.1", listening))));
  const started = {
    connected,
    stops: undefined,
    proxy: proxy.address().port,
    stop() {
      server.closeAllConnections();
      proxy.closeAllConnections();
      server.close();
      proxy.close();
    },
  };
  return started;
}

/** A request's whole body. */
export async function bodyOf(asked) {
  const pieces = [];
  for await (const piece of asked) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Asks the upstream the same, as a site's own web server does, for a visitor at the address `from`: its answer, or nothing where there is none. */
export function passOn(asked, body, upstream, from) {
  const headers = { ...asked.headers, "x-forwarded-for": from, "x-forwarded-proto": "https" };
  return new Promise((answered) => {
    const onward = request(`${upstream}${asked.url}`, { method: asked.method, headers }, answered);
    onward.on("error", () => answered());
    onward.end(body);
  });
}
