// Messages to the collector, and another try for those that failed.
import { consentMessage, granted, no, say } from "./consent";
import { safely } from "./safely";
import { browser, config } from "./settings";
import { WAITING_MAX, WAITING_MS_MAX, stored, storing, without } from "./storage";
import type { WireEvent } from "./wire";

/** The first pause after a failed send, doubled each time; then only a success, the network's return or the page's end tries again. */
const PAUSE_MS = 2000;
const TRIES_MAX = 6;
/** Browsers send at most 64 KiB after the page has gone. */
const KEEPALIVE_CHARS_MAX = 20_000; // up to three bytes each

/** Granted events that wait for the first granted answer, so that the server sets one cookie and not two. */
let waiting: WireEvent[] = [];
let cookie: "none" | "asked" | "set" = "none";
/** Events that could not be sent, and whether a yes stood behind them. */
export let failed: [WireEvent, boolean][] = [];
let tries = 0;
export let timer = 0;
/** What a part has to say of this page; it goes with the next events, and never alone. */
let aside = (): Record<string, number> | undefined => undefined;

export const sayAside = (take: typeof aside): void => {
  aside = take;
};

/**
 * The data travels in the body alone: blockers rewrite query strings, and servers write them to their logs. Answers with 0 for taken, less
 * for never to be taken, else the pause before another try, ms.
 */
export const post = (message: object): Promise<number> => {
  const body = JSON.stringify({ s: Date.now(), ...message });
  const pause = PAUSE_MS * 2 ** tries;
  const keepalive = body.length < KEEPALIVE_CHARS_MAX;
  try {
    const options: RequestInit = { method: "POST", body, keepalive, credentials: "same-origin", headers: { "content-type": "text/plain" } };
    return fetch(config.e, options)
      .then(({ ok, status, headers }) => {
        if (ok) return 0;
        // A timer that is longer than browsers can count ends at once.
        return status === 429 || status > 499 ? Math.max(pause, Math.min(Number(headers.get("retry-after")) * 1000 || 0, WAITING_MS_MAX)) : -1;
      })
      .catch(() => pause);
  } catch {
    return Promise.resolve(browser.sendBeacon?.(config.e, body) ? 0 : pause);
  }
};

/** They wait for another try. */
export const wait = (events: WireEvent[], yes: boolean): void => {
  failed = [...failed, ...events.map((event): [WireEvent, boolean] => [event, yes])].slice(0, WAITING_MAX);
};

/** They wait, also for another page where that was agreed to. */
const keep = (events: WireEvent[], yes: boolean): void => {
  wait(events, yes);
  if (yes) stored((others) => [...without(others, events), ...events]);
};

const send = (events: WireEvent[], yes: boolean): void => {
  // Who the page says the visitor is goes with a yes alone.
  const message = { ...consentMessage(yes), u: aside(), e: yes ? events : events.map((event) => ({ ...event, a: undefined, as: undefined, ae: undefined })) };
  if (yes && cookie !== "set") cookie = "asked";
  void post(message).then(safely((pause) => {
    if (no) return void (yes && say(no));
    if (yes && cookie === "asked") cookie = pause ? "none" : "set";
    if (pause > 0) {
      keep(events, yes);
      later(pause);
    } else {
      if (storing) stored((others) => without(others, events));
      if (!pause) {
        tries = 0;
        if (!timer) again();
      }
    }
    if (cookie !== "asked") flush(); // this may have been the answer to another one
  }));
};

/** Sends, unless the server asked for a pause or did not answer: then it goes with the others. */
export const offer = (events: WireEvent[], yes: boolean): void => {
  if (timer) keep(events, yes);
  else send(events, yes);
};

/** Sends a granted event, not before the server has answered the first one. */
export const offerGranted = (event: WireEvent): void => {
  if (cookie !== "asked") offer([event], true);
  else if (waiting.length < WAITING_MAX) waiting.push(event);
};

export const later = (pause: number): void => {
  if (timer || tries >= TRIES_MAX) return;
  tries += 1;
  timer = setTimeout(safely(again), pause * (1 + Math.random() / 4)); // not all visitors at once
};

export const again = (): void => {
  clearTimeout(timer);
  timer = 0;
  if (no) return void say(no, true);
  const events = failed.filter(([event]) => event.t > Date.now() - WAITING_MS_MAX);
  for (const yes of [true, false]) {
    const some = events.filter(([, behind]) => behind === yes).map(([event]) => event);
    if (some.length && (!yes || granted())) send(some, yes);
  }
  failed = []; // not before: see `leave`
};

export const flush = (): void => {
  if (waiting.length) offer(waiting, true);
  waiting = []; // not before: see `leave`
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

export const forgetFailed = (): void => {
  failed = [];
};

/** Nothing that waits may be sent any more. */
export const forgetAll = (): void => {
  waiting = [];
  failed = [];
  cookie = "none";
};
