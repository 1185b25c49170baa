// The page-view snippet: it sends what happened on a page to the site's own host, and obeys the visitor's choice before anything leaves.
//
// It reads no cookie and writes nothing to the browser: all that it remembers rests in this page's memory and ends with the page. The
// choice itself is the site's to remember (its consent banner does); the visitor's id is an HttpOnly cookie that only the server sees.
//
// Before the choice, a site with an exempt measurement gets each event at once, as "not chosen yet", and a copy under a second random id
// stays here. A yes sends the copies on; a no forgets them. Nothing in here may ever throw into the page.

/** What a visitor may agree to. */
export type Purpose = "analytics" | "profile" | "ads";

/** Flat properties of an event. `value`, `currency`, `transaction_id` and `user_id` are known by name; others need the site's policy. */
export type Properties = Record<string, string | number | boolean | null | undefined>;

/** A call made before the snippet has loaded: `(window.fpw = window.fpw || []).push(["consent", ["analytics"]])`. */
export type Call =
  | ["consent", Purpose[], number?]
  | ["event", string, Properties?]
  | ["page"]
  | ["optOut"]
  | ["optIn"];

/** The functions on the page, under the site's own global name (`fpw` unless the site chose another). */
export interface Firsthand {
  /** The visitor's choice: these purposes, or `[]` for a no. `secondsLeft`: until the consent itself ends. */
  consent(purposes: Purpose[], secondsLeft?: number): void;
  /** Something of the site's own happened. Names: GA4's recommended ones where one exists. */
  event(name: string, properties?: Properties): void;
  /** A page view. Called by itself at load and when the history moves to another path. */
  page(): void;
  /** An objection for this site from now on, whatever is agreed to elsewhere. The server remembers it. */
  optOut(): void;
  /** Takes the objection back. Nothing is agreed to by that. */
  optIn(): void;
  /** How many copies wait in this page's memory for the choice. */
  held(): number;
  /** The same calls as before loading. */
  push(...calls: Call[]): void;
}

/** One event on the wire; the server's decoder for protocol `native` is the other side of this. */
interface WireEvent {
  k: string; // kind: page_view, or the event's name
  i: string; // random id, by which the server knows a retry
  t: number; // when, by this browser's clock, ms
  p: string; // the page's address
  r: string; // where the visitor came from
  n: string; // the page's title
  l: string; // language
  w: number; // width of the window
  v?: number; // amount of money
  m?: string; // its currency
  x?: string; // order id
  a?: string; // the site's own id of the visitor, as the page claims it
  d?: Record<string, string | number | boolean>; // the other properties
  h?: 1; // a copy that was held until the choice
}

/** Put in by the server: e, the collector's path; u, whether events may go before the choice; g, the global name. */
declare const __FIRSTHAND_CONFIG__: { e: string; u: boolean; g: string };

(() => {
  const config = __FIRSTHAND_CONFIG__;
  const page = window as unknown as Record<string, unknown>;
  const browser = navigator as Navigator & { globalPrivacyControl?: boolean };

  /** A page that nobody answers on must not fill up: copies and waiting events are few, and copies grow old. */
  const EVENTS_MAX = 20;
  const HELD_MS_MAX = 30 * 60 * 1000;

  /** A browser that objects by itself cannot be talked round by the page. */
  const browserObjects = browser.globalPrivacyControl === true || browser.doNotTrack === "1";

  let objected = browserObjects;
  let choice: Purpose[] | undefined; // undefined: not chosen yet; empty: no
  let choiceEnds = Infinity;
  /** The last no that was said, while it holds: sent again if a granted beacon was still under way, which might have arrived after it. */
  let no: object | undefined;
  let held: WireEvent[] = [];
  /** Granted events that wait for the first granted answer, so that the server sets one cookie and not two. */
  let waiting: WireEvent[] = [];
  let cookie: "none" | "asked" | "set" = "none";
  let referrer = document.referrer;
  let path = location.pathname + location.search;
  let href = location.href;

  const randomId = (): string =>
    btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))))
      .replace(/\+/g, "-")
      .replace(/\//g, "_")
      .slice(0, 22);

  /** The data travels in the body alone: blockers rewrite query strings, and servers write them to their logs. */
  const post = (message: object): Promise<boolean> => {
    const body = JSON.stringify({ s: Date.now(), ...message });
    try {
      const options: RequestInit = { method: "POST", body, keepalive: true, credentials: "same-origin", headers: { "content-type": "text/plain" } };
      return fetch(config.e, options).then(
        (reply) => reply.ok,
        () => false,
      );
    } catch {
      return Promise.resolve(!!browser.sendBeacon?.(config.e, body));
    }
  };

  const sendGranted = (events: WireEvent[]): void => {
    const message: Record<string, unknown> = { g: choice, e: events };
    if (choiceEnds < Infinity) message.gx = Math.max(0, Math.round((choiceEnds - Date.now()) / 1000));
    cookie = cookie === "set" ? cookie : "asked";
    void post(message).then((ok) => {
      if (no) return void post(no);
      if (cookie === "asked") cookie = ok ? "set" : "none";
      flush();
    });
  };

  const flush = (): void => {
    const events = waiting;
    waiting = [];
    if (events.length) sendGranted(events);
  };

  /** A yes, and still in force. */
  const granted = (): boolean => {
    if (Date.now() >= choiceEnds) {
      choice = undefined;
      choiceEnds = Infinity;
    }
    return !!choice?.length;
  };

  const object = (message: object): void => {
    held = [];
    waiting = [];
    cookie = "none";
    no = message;
    void post(message);
  };

  const dropOld = (): void => {
    const oldest = Date.now() - HELD_MS_MAX;
    held = held.filter((event) => event.t > oldest);
  };

  const record = (event: WireEvent): void => {
    if (objected) return;
    if (granted()) {
      if (cookie !== "asked") sendGranted([event]);
      else if (waiting.length < EVENTS_MAX) waiting.push(event);
    } else if (!choice) {
      if (config.u) void post({ e: [event] });
      // The first ones stay: they carry the campaign that brought the visitor here.
      dropOld();
      if (held.length < EVENTS_MAX) {
        held.push({ ...event, i: config.u ? randomId() : event.i, h: 1 });
        setTimeout(dropOld, HELD_MS_MAX + 1);
      }
    }
  };

  const happened = (kind: string, properties?: Properties): void => {
    const event: WireEvent = {
      k: String(kind),
      i: randomId(),
      t: Date.now(),
      p: location.href,
      r: referrer,
      n: document.title,
      l: browser.language,
      w: innerWidth,
    };
    const others: Record<string, string | number | boolean> = {};
    for (const [name, value] of Object.entries(properties ?? {})) {
      // Only what JSON can say flatly; the rest is left out rather than sent as something else.
      if (typeof value !== "string" && typeof value !== "boolean" && !Number.isFinite(value)) continue;
      if (name === "value") event.v = Number(value) || 0;
      else if (name === "currency") event.m = String(value);
      else if (name === "transaction_id") event.x = String(value);
      else if (name === "user_id") event.a = String(value);
      else others[name] = value as string | number | boolean;
    }
    if (Object.keys(others).length) event.d = others;
    record(event);
  };

  const calls: Omit<Firsthand, "held" | "push"> = {
    consent(purposes, secondsLeft) {
      // What cannot be read counts as no.
      choice = Array.isArray(purposes) ? purposes.filter((purpose) => typeof purpose === "string") : [];
      choiceEnds = Number.isFinite(secondsLeft) ? Date.now() + secondsLeft! * 1000 : Infinity;
      if (objected) return;
      if (granted()) {
        no = undefined;
        dropOld();
        const copies = held;
        held = [];
        if (copies.length) sendGranted(copies);
      } else if (choice && !no) {
        object({ g: [] });
      }
    },
    event: happened,
    page: () => happened("page_view"),
    optOut() {
      objected = true;
      choice = undefined;
      object({ o: 1 });
    },
    optIn() {
      objected = browserObjects;
      no = undefined;
      void post({ o: 0 });
    },
  };

  /** Runs one call by name; a call that is no call of ours, or that fails, is the page's mistake and ends here. */
  const run = (name: string, parameters: unknown[]): void => {
    try {
      (calls as unknown as Record<string, (...all: unknown[]) => void>)[name]?.(...parameters);
    } catch {}
  };

  const moved = (): void => {
    const now = location.pathname + location.search;
    if (now === path) return;
    path = now;
    referrer = href;
    href = location.href;
    run("page", []);
  };

  try {
    const early = page[config.g] as { held?: unknown } | undefined;
    if (early?.held) return; // the script is on the page twice: the first one counts
    const stub = Array.isArray(early) ? (early as [string, ...unknown[]][]) : [];
    const api: Record<string, unknown> = {
      held: () => (dropOld(), held.length),
      push: (...all: [string, ...unknown[]][]) => all.forEach(([name, ...parameters]) => run(name, parameters)),
    };
    for (const name of Object.keys(calls)) api[name] = (...parameters: unknown[]) => run(name, parameters);
    page[config.g] = api;

    if (browserObjects) object({ g: [] });
    // A choice that the site already knows comes before the page view that it is about; what happened on the page comes after it.
    const isChoice = ([name]: [string, ...unknown[]]) => name !== "event" && name !== "page";
    stub.filter(isChoice).forEach(([name, ...parameters]) => run(name, parameters));
    run("page", []);
    stub.filter((call) => !isChoice(call)).forEach(([name, ...parameters]) => run(name, parameters));

    const pushState = history.pushState;
    history.pushState = function (...parameters) {
      pushState.apply(this, parameters);
      setTimeout(moved); // a router sets the title after it has pushed
    };
    addEventListener("popstate", () => setTimeout(moved));
    addEventListener("pagehide", flush); // what still waits for the first answer would be lost with the page
  } catch {}
})();
