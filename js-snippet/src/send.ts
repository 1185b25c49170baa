// Messages to the collector, and another try for those that failed.
import { consentMessage, granted, no, say } from "./consent";
import { safely } from "./safely";
import { browser, config, loaded } from "./settings";
import { WAITING_MAX, WAITING_MS_MAX, stored, storing, without } from "./storage";
import type { WireEvent } from "./wire";

/** The first pause after a failed send, doubled each time; then only another event, a success, the network's return or the page's end tries again. */
const PAUSE_MS = 2000;
const TRIES_MAX = 6;
/** Browsers send at most 64 KiB after the page has gone. */
const KEEPALIVE_CHARS_MAX = 20_000; // up to three bytes each

/**
 * Events that have not been handed over, or not been taken: those without a yes behind them, and those with one. They stay here until they have been: while a tab closes,
 * Firefox often ends the first listener that loops or calls JSON.stringify, wherever it is, and no `catch` sees that.
 */
let queues: WireEvent[][] = [[], []];
/** After the first message with a yes, granted events wait for its answer, so that the server sets one cookie and not two. */
const enum Cookie {
  None,
  Asked,
  Set,
}
let cookie = Cookie.None;
let tries = 0;
export let timer = 0;
let idle = false;
/** What a part has to say of this page; it goes with the next events, and never alone. */
let aside = (_yes: unknown): Record<string, number> | undefined => undefined;

/** `take` is told whether a yes stands behind the events that it goes with. Returns the one before it, which it says along. */
export const sayAside = (take: typeof aside): typeof aside => {
  const before = aside;
  aside = take;
  return before;
};

export const text = (message: object): string => JSON.stringify({ s: Date.now(), ...message });

/**
 * The data travels in the body alone: blockers rewrite query strings, and servers write them to their logs. Answers with 0 for taken, less
 * for never to be taken, else the pause before another try, ms.
 */
export const post = (body: string): Promise<number> => {
  const pause = PAUSE_MS * 2 ** tries;
  const keepalive = body.length < KEEPALIVE_CHARS_MAX;
  try {
    // Of the page's own origin, with its cookies, as text/plain: a browser's defaults.
    return fetch(config.e, { method: "POST", body, keepalive })
      .then(({ ok, status, headers }) => {
        if (ok) return 0;
        // A timer that is longer than browsers can count ends at once.
        return status === 429 || status > 499 ? Math.max(pause, Math.min(+headers.get("retry-after")! * 1000 || 0, WAITING_MS_MAX)) : -1;
      })
      .catch(() => pause);
  } catch {
    return Promise.resolve(browser.sendBeacon?.(config.e, body) ? 0 : pause);
  }
};

/** During a pause, what a yes stands behind waits also for another page, where that was agreed to. */
const keep = (): void => {
  stored((others) => [...without(others, queues[1]!), ...queues[1]!]);
};

/** Sends as many of them as go into one message. */
const send = (yes: number): void => {
  const events = queues[yes]!.slice(0, WAITING_MAX);
  const u = aside(yes);
  // Who the page says the visitor is goes with a yes alone.
  const write = (): string => text({ ...consentMessage(yes), u, e: yes ? events : events.map((event) => ({ ...event, a: undefined, as: undefined, ae: undefined })) });
  let body: string;
  while ((body = write()).length > KEEPALIVE_CHARS_MAX && events.length > 1) events.length >>= 1;
  if (yes) cookie ||= Cookie.Asked;
  void post(body).then(safely((pause) => {
    if (no) return void (yes && say(no));
    if (yes && cookie === Cookie.Asked) cookie = pause ? Cookie.None : Cookie.Set;
    if (pause > 0) {
      queues[yes] = [...events, ...queues[yes]!].slice(0, WAITING_MAX);
      later(pause);
      keep();
    } else {
      if (storing) stored((others) => without(others, events));
      if (!pause) tries = 0;
      if (!timer) again();
    }
  }));
  queues[yes] = without(queues[yes]!, events); // not before they have been handed over
};

/**
 * Events that are to be sent: those of one moment together, when the browser has one to spare, unless the server asked for a pause or did not answer. Of a page that is
 * hidden nobody knows whether there will be such a moment.
 */
export const offer = (events: WireEvent[], yes: number): void => {
  const hidden = document.visibilityState !== "visible";
  queues[yes] = [...without(queues[yes]!, events), ...events]; // a listener that was cut off says it twice
  if (timer) keep();
  else if (queues[yes]!.length < WAITING_MAX && !hidden) return soon();
  else again(hidden);
  queues[yes] = queues[yes]!.slice(0, WAITING_MAX);
};

export const soon = (): void => {
  if (idle) return;
  idle = true;
  loaded.atLeisure(() => {
    idle = false;
    if (!timer) again();
  });
};

export const later = (pause: number): void => {
  if (timer || tries >= TRIES_MAX) return;
  tries += 1;
  timer = setTimeout(safely(again), pause * (1 + Math.random() / 4)); // not all visitors at once
};

/** Sends what waits; at the page's end, also what waits for an answer: it would be lost. */
export const again = (ending?: boolean): void => {
  clearTimeout(timer);
  timer = 0;
  if (no) return void say(no, true);
  queues = queues.map((events, yes) => events.filter((event) => event.t > Date.now() - WAITING_MS_MAX && (!yes || granted())));
  for (const yes of [1, 0]) {
    while (queues[yes]!.length && (!yes || ending || cookie !== Cookie.Asked)) send(yes);
  }
};

/** No try is under way any more, and the pauses begin anew. */
export const calm = (): void => {
  clearTimeout(timer);
  timer = tries = 0;
};

/** The network is back. */
export const hurry = (): void => {
  tries = 0;
  again();
};

/** Nothing that waits may be sent any more. */
export const forgetAll = (): void => {
  queues = [[], []];
  cookie = Cookie.None;
};
