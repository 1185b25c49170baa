// Verifies every request with the Standard Webhooks project's own library: 204 when it holds, 400 when it does not.
// Usage: node receiver.mjs SECRET; prints the port it listens on, and ends when its input does.
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.argv[2]);

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    try {
      const message = webhook.verify(Buffer.concat(chunks), request.headers);
      response.writeHead(204, { "x-events": String(message.data.events.length) }).end();
    } catch (error) {
      response.writeHead(400).end(error.message);
    }
  });
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume().on("end", () => process.exit(0));
