// What the demonstration's two destinations received, read from the files that they write, and what the admin listener counts.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const ADMIN = process.env.FIRSTHAND_ADMIN;
const DATA = process.env.FIRSTHAND_DATA;
const PATIENCE_MS = 10_000;
/** Long enough for an event that should not come to come. */
const QUIET_MS = 800;

export const DESTINATIONS = ["measurement", "customers"];

/** The bytes that a destination has received so far. */
export function bytesOf(destination) {
  const files = readdirSync(DATA, { recursive: true }).filter((file) => file.endsWith(".ndjson") && file.includes(destination));
  return files.map((file) => readFileSync(join(DATA, file), "utf8")).join("");
}

/** The events that it has received so far. */
export function eventsOf(destination) {
  return bytesOf(destination).split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

export const counts = () => Object.fromEntries(DESTINATIONS.map((name) => [name, eventsOf(name).length]));

/** What was refused on all sites so far, by reason. */
export async function refusals() {
  const { sites } = await (await fetch(`${ADMIN}/overview.json`)).json();
  const sum = {};
  for (const { reason, count } of sites.flatMap((site) => site.refused)) sum[reason] = (sum[reason] ?? 0) + count;
  return sum;
}

/** What a destination's ledger says. */
export async function ledger(destination) {
  const { destinations } = await (await fetch(`${ADMIN}/overview.json`)).json();
  return destinations.find(({ name }) => name === destination).ledger;
}

/** Waits until the numbers are those expected, and then whether they stay so. Returns the last ones read. */
export async function settled(read, expected) {
  const same = (found) => Object.entries(expected).every(([name, count]) => (found[name] ?? 0) === count);
  for (const start = Date.now(); Date.now() - start < PATIENCE_MS && !same(await read()); ) await pause(50);
  await pause(QUIET_MS);
  return Object.fromEntries(Object.entries(await read()).filter(([name]) => name in expected));
}

/** Reads again until what is found is as it should be; what was found. */
export async function eventually(read, holds, what) {
  for (const start = Date.now(); ; await pause(100)) {
    const found = await read();
    if (holds(found)) return found;
    if (Date.now() - start > PATIENCE_MS) throw new Error(`it did not come to be: ${what}; found ${JSON.stringify(found)?.slice(0, 2000)}`);
  }
}
