// The page-view snippet: it sends what happened on a page to the site's own host, and obeys the visitor's choice before anything leaves.
//
// It reads no cookie, and without consent to it writes nothing to the browser: what it remembers rests in this page's memory and ends with
// the page. The choice itself is the site's to remember (its consent banner does); the visitor's id is an HttpOnly cookie that only the
// server sees.
//
// Before the choice, a site with an exempt measurement gets each event at once, as "not chosen yet", and a copy under a second random id
// stays here. A yes sends the copies on; a no forgets them. Nothing in here may ever throw into the page.
//
// A choice is said by the page (`consent`), by its consent tool (TCF, GPP), and, where the script tag asks for it, by Consent Mode. What all of
// them allow is allowed. The consent tool's strings go along: what they grant is the server's to decide.

/** What a visitor may agree to. */
export type Purpose = "analytics" | "profile" | "ads";

/** A product in an event, by GA4's names. */
export interface Item {
  item_id?: string | number;
  item_name?: string;
  item_brand?: string;
  item_category?: string;
  item_variant?: string;
  price?: number;
  quantity?: number;
}

/**
 * What there is to say of an event, by GA4's names. `value`, `currency`, `transaction_id`, `tax`, `shipping`, `coupon`, `items` and `user_id` are known;
 * others are flat, and need the site's policy.
 */
export interface Properties {
  value?: number;
  currency?: string;
  transaction_id?: string | number;
  tax?: number;
  shipping?: number;
  coupon?: string;
  items?: Item[];
  [own: string]: string | number | boolean | null | undefined | Item[];
}

/** What else was agreed to. */
export interface ConsentOptions {
  /** Events that could not be sent may wait in this browser's storage for another page: at most 50, at most 24 hours. Cleared by the next answer without it. */
  storage?: boolean;
}

/** A call made before the snippet has loaded: `(window.fpw = window.fpw || []).push(["consent", ["analytics"]])`. */
export type Call =
  | ["consent", Purpose[], number?, ConsentOptions?]
  | ["event", string, Properties?]
  | ["identify", (string | number | null)?, string?, number?]
  | ["page"]
  | ["optOut"]
  | ["optIn"];

/** The functions on the page, under the site's own global name (`fpw` unless the site chose another). */
export interface Firsthand {
  /** The visitor's choice: these purposes, or `[]` for a no. `secondsLeft`: until the consent itself ends. */
  consent(purposes: Purpose[], secondsLeft?: number, options?: ConsentOptions): void;
  /** Something of the site's own happened. Names: GA4's recommended ones where one exists. */
  event(name: string, properties?: Properties): void;
  /**
   * The site's own id of the visitor, for later events of this page; without one, no id any more. It is no more than a claim, unless the
   * site's backend has signed it: then with its signature and the moment when that ends, in seconds since 1970.
   */
  identify(userId?: string | number | null, signature?: string, expires?: number): void;
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
  tx?: number; // tax
  sh?: number; // shipping
  cp?: string; // coupon
  y?: Record<string, string | number>[]; // products
  a?: string; // the site's own id of the visitor, as the page claims it
  as?: string; // the backend's signature of that id
  ae?: number; // when the signature ends, s
  d?: Record<string, string | number | boolean>; // the other properties
  h?: 1; // a copy that was held until the choice
}

/**
 * Put in by the server: e, the collector's path; u, whether events may go before the choice; g, the global name; o, whether a yes on this site
 * outranks Global Privacy Control.
 */
declare const __FIRSTHAND_CONFIG__: { e: string; u: boolean; g: string; o?: boolean };

(() => {
  const config = __FIRSTHAND_CONFIG__;
  const page = window as unknown as Record<string, any>;
  /** Whose word counts beside the page's: by default a consent tool's, since it speaks for the visitor and for this site alone. */
  const follow = document.currentScript?.dataset.follow ?? "tcf gpp";
  const browser = navigator as Navigator & { globalPrivacyControl?: boolean };

  /** A page that nobody answers on must not fill up: copies are few, and grow old. */
  const HELD_MAX = 20;
  const HELD_MS_MAX = 30 * 60 * 1000;
  /** Events that wait for an answer or another try: what the server takes in one message, and no older than a day. */
  const WAITING_MAX = 50;
  const WAITING_MS_MAX = 24 * 60 * 60 * 1000;
  /** The first pause after a failed send, doubled each time; then only a success, the network's return or the page's end tries again. */
  const PAUSE_MS = 2000;
  const TRIES_MAX = 6;
  /** Browsers send at most 64 KiB after the page has gone. */
  const KEEPALIVE_CHARS_MAX = 20_000; // up to three bytes each
  const ITEMS_MAX = 200;
  /** How long a consent tool is waited for. */
  const ASK_AGAIN_MS = 250;
  const ASKED_MAX = 40;
  const TCF_PURPOSES: Record<Purpose, number[]> = { analytics: [1, 8, 9], profile: [1, 5, 6], ads: [1, 2, 3, 4, 7] };
  /** A glimpse is no visit. */
  const ENGAGED_MS_MIN = 1000;
  const FILE = /\.(pdf|docx?|xlsx?|pptx?|txt|rtf|csv|exe|msi|dmg|pkg|7z|rar|g?z|zip|avi|mov|mp[34]|mpe?g|wmv|wma|midi?|wav|epub)$/i;

  /** GA4's name of a property or of a product's → ours. In capitals: a number. */
  const KNOWN: Record<string, string> = { value: "V", currency: "m", transaction_id: "x", tax: "TX", shipping: "SH", coupon: "cp", user_id: "a" };
  const KNOWN_OF_ITEM: Record<string, string> = {
    item_id: "id",
    item_name: "name",
    item_brand: "brand",
    item_category: "category",
    item_variant: "variant",
    price: "PRICE",
    quantity: "QUANTITY",
  };

  /** A browser that objects by itself cannot be talked round by the page; its visitor can overrule Global Privacy Control where the site's documents say so. */
  const gpc = browser.globalPrivacyControl === true;
  const browserObjects = browser.doNotTrack === "1" || (gpc && !config.o);

  let objected = browserObjects;
  let choice: Purpose[] | undefined = gpc ? [] : undefined; // undefined: not chosen yet; empty: no
  let choiceEnds = Infinity;
  /** What each of those that were heard allows: the page, Consent Mode, the TC string, the GPP string's European section. */
  let said: [page?: Purpose[] | undefined, mode?: Purpose[], tcf?: Purpose[], gpp?: Purpose[]] = [];
  /** The consent tool's strings: TCF's once the visitor has chosen, GPP's once it is ready. */
  let gt: string | undefined;
  let gp: string | undefined;
  let mayStore = false;
  let storing = false;
  /** The last no that was said, while it holds: sent again if a granted beacon was still under way, which might have arrived after it. */
  let no: object | undefined;
  let noFailed = false;
  let held: WireEvent[] = [];
  /** Granted events that wait for the first granted answer, so that the server sets one cookie and not two. */
  let waiting: WireEvent[] = [];
  let cookie: "none" | "asked" | "set" = "none";
  /** Events that could not be sent, and whether a yes stood behind them. */
  let failed: [WireEvent, boolean][] = [];
  let tries = 0;
  let timer = 0;
  let user: Pick<WireEvent, "a" | "as" | "ae"> = {};
  let referrer = document.referrer;
  let path = location.pathname + location.search;
  let href = location.href;
  let title = document.title;
  let visibleSince = -1;
  let engagedMs = 0;
  /** The event of the page that is being left, until it is handed over. */
  let left: WireEvent | undefined;

  /** Nothing of ours may end in the page's error handler: a mistake in a call is the page's, and ends here. */
  const safely =
    <Parameters extends unknown[]>(act: (...parameters: Parameters) => void) =>
    (...parameters: Parameters): void => {
      try {
        act(...parameters);
      } catch {}
    };

  const randomId = (): string =>
    btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))))
      .replace(/\+/g, "-")
      .replace(/\//g, "_")
      .slice(0, 22);

  /**
   * The data travels in the body alone: blockers rewrite query strings, and servers write them to their logs. Answers with 0 for taken, less
   * for never to be taken, else the pause before another try, ms.
   */
  const post = (message: object): Promise<number> => {
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

  /** Changes the events that wait in storage, where that was agreed to. Another tab may have left some too. */
  const stored = (change: (events: WireEvent[]) => WireEvent[]): WireEvent[] => {
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

  const emptyStorage = (): void => {
    storing = false;
    try {
      localStorage.removeItem(config.g + "-q");
    } catch {}
  };

  const without = (events: WireEvent[], others: WireEvent[]): WireEvent[] =>
    events.filter((event) => !others.some((other) => other.i === event.i));

  /** They wait for another try. */
  const wait = (events: WireEvent[], yes: boolean): void => {
    failed = [...failed, ...events.map((event): [WireEvent, boolean] => [event, yes])].slice(0, WAITING_MAX);
  };

  /** They wait, also for another page where that was agreed to. */
  const keep = (events: WireEvent[], yes: boolean): void => {
    wait(events, yes);
    if (yes) stored((others) => [...without(others, events), ...events]);
  };

  const send = (events: WireEvent[], yes: boolean): void => {
    // Who the page says the visitor is goes with a yes alone.
    const message: Record<string, unknown> = { gp, e: yes ? events : events.map((event) => ({ ...event, a: undefined, as: undefined, ae: undefined })) };
    if (yes) {
      message.g = allOf(said.slice(0, 2));
      message.gt = gt;
      if (choiceEnds < Infinity) message.gx = Math.max(0, Math.round((choiceEnds - Date.now()) / 1000));
      if (cookie !== "set") cookie = "asked";
    }
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
  const offer = (events: WireEvent[], yes: boolean): void => {
    if (timer) keep(events, yes);
    else send(events, yes);
  };

  const later = (pause: number): void => {
    if (timer || tries >= TRIES_MAX) return;
    tries += 1;
    timer = setTimeout(safely(again), pause * (1 + Math.random() / 4)); // not all visitors at once
  };

  const again = (): void => {
    clearTimeout(timer);
    timer = 0;
    if (no) return void (noFailed && say(no));
    const events = failed.filter(([event]) => event.t > Date.now() - WAITING_MS_MAX);
    for (const yes of [true, false]) {
      const some = events.filter(([, behind]) => behind === yes).map(([event]) => event);
      if (some.length && (!yes || granted())) send(some, yes);
    }
    failed = []; // not before: see `leave`
  };

  const flush = (): void => {
    if (waiting.length) offer(waiting, true);
    waiting = []; // not before: see `leave`
  };

  /** What is allowed by each that said something; undefined where none did. */
  const allOf = (answers: (Purpose[] | undefined)[]): Purpose[] | undefined =>
    answers.reduce((some, next) => (some && next ? some.filter((purpose) => next.includes(purpose)) : some ?? next), undefined);

  /** The page's answer is no longer in force, and nothing is agreed to until someone speaks again. A refusal by another one stays. */
  const forgetYes = (): void => {
    said[0] = undefined;
    choice = gpc ? [] : allOf(said)?.length ? undefined : allOf(said);
    choiceEnds = Infinity;
    mayStore = false;
  };

  /** A yes, and still in force. */
  const granted = (): boolean => {
    if (Date.now() >= choiceEnds) {
      forgetYes();
      if (storing) emptyStorage();
    }
    return !!choice?.length;
  };

  const say = (message: object): void => {
    noFailed = false;
    void post(message).then((pause) => {
      if (message !== no || pause < 1) return;
      noFailed = true;
      later(pause);
    });
  };

  const object = (message: object): void => {
    held = [];
    waiting = [];
    failed = [];
    cookie = "none";
    no = message;
    emptyStorage();
    say(message);
  };

  /** Someone has said something of the visitor's choice. */
  const decide = (): void => {
    // Under Global Privacy Control: a no, until the page or the TC string says yes. Consent Mode alone does not.
    choice = gpc && !(said[0] ?? said[2])?.length ? [] : allOf(said);
    if (objected) return;
    if (granted()) {
      if (no) clearTimeout(timer), (timer = tries = 0); // what failed was the no
      no = undefined;
      const before = storing;
      storing = mayStore;
      if (!storing) {
        if (said[0]) emptyStorage(); // of storage the page alone speaks
      } else if (!before) {
        wait(without(stored((others) => others), failed.map(([event]) => event)), true);
      }
      dropOld();
      const copies = held;
      held = [];
      if (copies.length) offer(copies, true);
      if (!timer) again();
    } else if (choice && !no) {
      object({ g: [] });
    }
  };

  const dropOld = (): void => {
    const oldest = Date.now() - HELD_MS_MAX;
    held = held.filter((event) => event.t > oldest);
  };

  const record = (event: WireEvent): void => {
    if (objected) return;
    if (granted()) {
      if (cookie !== "asked") offer([event], true);
      else if (waiting.length < WAITING_MAX) waiting.push(event);
    } else if (!choice) {
      if (config.u) offer([event], false);
      // The first ones stay: they carry the campaign that brought the visitor here.
      dropOld();
      if (held.length < HELD_MAX) {
        held.push({ ...event, i: config.u ? randomId() : event.i, h: 1 });
        setTimeout(dropOld, HELD_MS_MAX + 1);
      }
    }
  };

  /** Puts what is known by name where it belongs, and the rest that JSON can say flatly into the other one; nothing is sent as something else. */
  const sort = (said: object, known: Record<string, string>, into: Record<string, unknown>, others: Record<string, unknown>): void => {
    for (const [name, value] of Object.entries(said)) {
      if (typeof value !== "string" && typeof value !== "boolean" && !Number.isFinite(value)) continue;
      const key = known[name] as unknown;
      if (typeof key !== "string") others[name] = value;
      else if (key >= "a") into[key] = String(value);
      else if (Number.isFinite(+value) && parseFloat(value) === +value) into[key.toLowerCase()] = +value;
    }
  };

  const eventOf = (kind: string, properties?: Properties, place?: Partial<WireEvent>): WireEvent => {
    const event: WireEvent = {
      k: String(kind),
      i: randomId(),
      t: Date.now(),
      p: location.href,
      r: referrer,
      n: document.title,
      l: browser.language,
      w: innerWidth,
      ...user,
      ...place,
    };
    const others = {};
    sort(properties ?? {}, KNOWN, event as unknown as Record<string, unknown>, others);
    if (event.a !== user.a) delete event.as, delete event.ae; // the signature is of the other id
    if (Object.keys(others).length) event.d = others;
    const items = properties?.items;
    if (Array.isArray(items)) {
      event.y = items.slice(0, ITEMS_MAX).map((item) => {
        const product = {};
        sort(item ?? {}, KNOWN_OF_ITEM, product, {});
        return product;
      });
    }
    return event;
  };

  const happened = (kind: string, properties?: Properties): void => record(eventOf(kind, properties));

  const calls: Omit<Firsthand, "held" | "push"> = {
    consent(purposes, secondsLeft, options) {
      // What cannot be read counts as no.
      said[0] = Array.isArray(purposes) ? purposes.filter((purpose) => typeof purpose === "string") : [];
      choiceEnds = Number.isFinite(secondsLeft) ? Date.now() + secondsLeft! * 1000 : Infinity;
      mayStore = options?.storage === true;
      decide();
    },
    event: (name, properties) => happened(name, properties),
    identify(userId, signature, expires) {
      user = userId == null || userId === "" ? {} : { a: String(userId) };
      if (user.a && signature) user.as = String(signature);
      if (user.as && Number.isFinite(expires)) user.ae = expires!;
    },
    page() {
      title = document.title;
      happened("page_view");
    },
    optOut() {
      objected = true;
      forgetYes();
      object({ o: 1 });
    },
    optIn() {
      objected = browserObjects;
      no = undefined;
      void post({ o: 0 });
      decide(); // the consent tool's answer is in force again
    },
  };

  const on = (target: EventTarget, names: string, act: (event: any) => void): void =>
    names.split(" ").forEach((name) => target.addEventListener(name, safely(act), true));
  const run = safely((name: string, parameters: unknown[]) =>
    (calls as unknown as Record<string, (...all: unknown[]) => void>)[name]?.(...parameters),
  );

  const look = (): void => {
    visibleSince = document.visibilityState === "visible" ? performance.now() : -1;
  };

  /**
   * The page, or one of its routes, is left: how long it was in sight.
   *
   * While a tab closes, Firefox often ends the first listener that loops or calls JSON.stringify, wherever it is, and no `catch` sees that. So
   * what is to be sent stays where it is until it has been handed over, and the next listener (visibilitychange comes after pagehide)
   * begins again, under the same id.
   */
  const leave = (): void => {
    if (visibleSince >= 0) engagedMs += performance.now() - visibleSince;
    visibleSince = -1;
    if (engagedMs >= ENGAGED_MS_MIN) {
      left = eventOf("user_engagement", { engagement_ms: Math.round(engagedMs) }, { p: href, n: title });
      engagedMs = 0;
    }
    if (left) record(left);
    left = undefined;
  };

  const end = (): void => {
    leave();
    flush(); // what still waits for the first answer would be lost with the page
  };

  const moved = safely((): void => {
    const now = location.pathname + location.search;
    if (now === path) return;
    leave();
    engagedMs = 0;
    look();
    path = now;
    referrer = href;
    href = location.href;
    calls.page();
  });

  const clicked = (event: MouseEvent): void => {
    if (event.button > 1) return;
    const link = event.composedPath().find((each) => (each as Element).matches?.("a[href],area[href]")) as HTMLAnchorElement | undefined;
    if (!link || !/^https?:$/.test(link.protocol)) return;
    const extension = FILE.exec(link.pathname)?.[1];
    // Of a link its host alone: the rest may name someone.
    const link_domain = link.hostname;
    if (extension || link.hasAttribute("download")) happened("file_download", { link_domain, file_extension: extension?.toLowerCase() });
    else if (link_domain !== location.hostname) happened("click", { link_domain, outbound: true });
  };

  /** A consent tool may load after this script: the question is put again until it can be put, or the time is over. */
  const ask = (question: () => void, left = ASKED_MAX): void => {
    try {
      question();
    } catch {
      if (left) setTimeout(ask, ASK_AGAIN_MS, question, left - 1);
    }
  };

  /** Our purposes, by those of the TCF that are consented to (docs/consent-signals.md). What is no consent for certain is none. */
  const purposesOf = (consented: (purpose: number) => unknown): Purpose[] =>
    (Object.keys(TCF_PURPOSES) as Purpose[]).filter((purpose) => TCF_PURPOSES[purpose].every((number) => consented(number) === true));

  const followTcf = (): void =>
    page.__tcfapi("addEventListener", 2, safely((data: any, answered: unknown) => {
      // Where it does not apply, or the tool is still asking, nothing was chosen: neither a yes nor a no.
      if (!answered || !data.gdprApplies || !/^(tcloaded|useractioncomplete)$/.test(data.eventStatus)) return;
      gt = String(data.tcString ?? "");
      said[2] = gt ? purposesOf((number) => data.purpose?.consents?.[number]) : []; // no string: nothing to show for it
      decide();
    }));

  const followGpp = (): void =>
    page.__gpp("addEventListener", safely(({ pingData }: any) => {
      const before = gp;
      if (pingData.signalStatus !== "ready") return;
      gp = String(pingData.gppString ?? "");
      if (gp === before) return;
      const europe = pingData.parsedSections?.tcfeuv2;
      if (europe) said[3] = purposesOf((number) => (europe[0] ?? europe).PurposeConsents?.[number - 1]);
      if (europe) decide();
      // It may be an objection, which must not wait for the next event.
      if (before && !no) void post({ gp });
    }));

  const followMode = (): void => {
    const layer = (page.dataLayer ??= []) as { push: (...entries: unknown[]) => unknown } & unknown[];
    const state: Record<string, unknown> = {};
    const allowed = (...names: string[]) => names.every((name) => state[name] === "granted");
    const read = safely((entry: any): void => {
      // Defaults are no one's choice, and may be another region's.
      if (entry[0] !== "consent" || entry[1] !== "update") return;
      Object.assign(state, entry[2]);
      if (!("analytics_storage" in state || "ad_storage" in state)) return;
      said[1] = [];
      if (allowed("analytics_storage")) said[1].push("analytics");
      if (allowed("ad_storage", "ad_user_data", "ad_personalization")) said[1].push("ads");
      decide();
    });
    layer.forEach(read);
    const push = layer.push;
    layer.push = (...entries) => {
      entries.forEach(read);
      return push.apply(layer, entries);
    };
  };

  const start = safely((): void => {
    const early = page[config.g] as { held?: unknown } | undefined;
    if (early?.held) return; // the script is on the page twice: the first one counts
    const callsIn = (said: unknown[]) => said.filter(Array.isArray) as [string, ...unknown[]][];
    const stub = Array.isArray(early) ? callsIn(early) : [];
    const api: Record<string, unknown> = {
      held: () => (dropOld(), held.length),
      push: (...all: unknown[]) => callsIn(all).forEach(([name, ...parameters]) => run(name, parameters)),
    };
    for (const name of Object.keys(calls)) api[name] = (...parameters: unknown[]) => run(name, parameters);
    page[config.g] = api;

    if (browserObjects) object({ g: [] });
    if (follow.includes("tcf")) ask(followTcf);
    if (follow.includes("gpp")) ask(followGpp);
    if (follow.includes("gcm")) ask(followMode);
    // A choice that the site already knows, and who is visiting, come before the page view that they are about; what happened on the page comes after it.
    const isEvent = ([name]: [string, ...unknown[]]) => name === "event" || name === "page";
    stub.filter((call) => !isEvent(call)).forEach(([name, ...parameters]) => run(name, parameters));
    // Not before: a yes that is known already is not to be ended by the browser's no.
    if (gpc) decide();
    look();
    run("page", []);
    stub.filter(isEvent).forEach(([name, ...parameters]) => run(name, parameters));

    const pushState = history.pushState;
    history.pushState = function (...parameters) {
      pushState.apply(this, parameters);
      setTimeout(moved); // a router sets the title after it has pushed
    };
    on(window, "popstate", () => setTimeout(moved));
    on(document, "click auxclick", clicked);
    on(window, "online", () => {
      tries = 0;
      again();
    });
    on(document, "visibilitychange", () => {
      if (document.visibilityState === "visible") look();
      else end();
    });
    on(window, "pagehide", end);
    on(window, "pagehide", ({ persisted }: PageTransitionEvent) => {
      if (failed.length && !storing) again();
      if (!persisted) return;
      // The page may come back hours later, when the visitor has chosen otherwise on another one: the site says the choice again then.
      clearTimeout(timer);
      timer = tries = 0;
      failed = [];
      if (choice?.length) forgetYes();
      choiceEnds = Infinity;
      storing = mayStore = false;
    });
    on(window, "pageshow", ({ persisted }: PageTransitionEvent) => {
      if (!persisted) return;
      engagedMs = 0;
      look();
      referrer = href = location.href;
      path = location.pathname + location.search;
      calls.page();
    });
  });

  // A page that the browser opens in advance is no visit until someone looks at it.
  if ((document as Document & { prerendering?: boolean }).prerendering) on(document, "prerenderingchange", start);
  else start();
})();
