// Events that wait in the browser's storage for another page, where that was agreed to.
import { config } from "./settings";
import type { WireEvent } from "./wire";

/** Events that wait for an answer or another try: what the server takes in one message, and no older than a day. */
export const WAITING_MAX = 50;
export const WAITING_MS_MAX = 86_400_000;

export let storing = false;
export const store = (agreed: boolean): void => {
  storing = agreed;
};

/** Changes the events that wait in storage, where that was agreed to. Another tab may have left some too. */
export const stored = (change: (events: WireEvent[]) => WireEvent[]): WireEvent[] => {
  if (!storing) return [];
  const key = config.g + "-q";
  let events: WireEvent[] = [];
  try {
    events = JSON.parse(localStorage.getItem(key) ?? "[]").filter((event: WireEvent) => event?.t > Date.now() - WAITING_MS_MAX);
    events = change(events).slice(0, WAITING_MAX);
    if (events.length) localStorage.setItem(key, JSON.stringify(events));
    else localStorage.removeItem(key);
  } catch {}
  return events;
};

export const emptyStorage = (): void => {
  storing = false;
  try {
    localStorage.removeItem(config.g + "-q");
  } catch {}
};

export const without = (events: WireEvent[], others: WireEvent[]): WireEvent[] =>
  events.filter((event) => !others.some((other) => other.i === event.i));
