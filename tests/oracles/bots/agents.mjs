// Writes user agents to standard output, a JSON object per line: the user agent, whether it is a published crawler's (of the list
// crawler-user-agents) or a real browser's (drawn from user-agents), and what the list isbot says of it. The same seed draws the same browsers.
// Usage: node agents.mjs SEED COUNT; COUNT different browsers.
import { readFileSync } from "node:fs";
import { isbot } from "isbot";

const [seed, count] = process.argv.slice(2).map(Number);

// Before user-agents is loaded, which draws with it: mulberry32.
let state = seed >>> 0;
Math.random = () => {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
};

// Only what can travel in a header.
const sendable = (agent) => /^[\x20-\x7e]+$/.test(agent) && agent.trim() === agent;
const say = (agent, crawler) => console.log(JSON.stringify({ agent, crawler, isbot: isbot(agent) }));

const list = new URL("node_modules/crawler-user-agents/crawler-user-agents.json", import.meta.url);
const crawlers = JSON.parse(readFileSync(list, "utf8")).flatMap((entry) => entry.instances);
[...new Set(crawlers)].filter(sendable).forEach((agent) => say(agent, true));

const { default: UserAgent } = await import("user-agents");
const browsers = new Set();
for (let drawn = 0; browsers.size < count && drawn < 100 * count; drawn += 1) {
  const agent = new UserAgent().userAgent;
  if (sendable(agent)) browsers.add(agent);
}
browsers.forEach((agent) => say(agent, false));
