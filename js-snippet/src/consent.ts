// The visitor's choice: who said what of it, what that comes to, and what may leave under it.
//
// Before the choice, a site with an exempt measurement gets each event at once, as "not chosen yet", and a copy under a second random id
// stays here. A yes sends the copies on; a no forgets them.
//
// A choice is said by the page (`consent`), by its consent tool (TCF, GPP, a tool's own events), by Consent Mode where it is followed, and by a vendor's own calls where
// the site takes them. What all of them allow is allowed. The consent tool's strings go along: what they grant is the server's to decide.
import type { ConsentOptions, Purpose } from "./api";
import { calm, forgetAll, later, offer, post, text } from "./send";
import { browser, config } from "./settings";
import { emptyStorage, store, stored, storing } from "./storage";
import { type WireEvent, randomId } from "./wire";

/** A page that nobody answers on must not fill up: copies are few, and grow old. */
const HELD_MAX = 20;
const HELD_MS_MAX = 1_800_000; // half an hour
export const PURPOSES: Purpose[] = ["analytics", "profile", "ads"];

/**
 * What someone allows. `of`: the purposes that they speak of, where that is not all. `soft`: it bars those purposes and is no choice of the visitor's, as a
 * vendor's pixel that waits for a consent.
 */
export interface Word {
  yes: Purpose[];
  of?: Purpose[];
  soft?: boolean;
}

/** A browser that objects by itself cannot be talked round by the page; its visitor can overrule Global Privacy Control where the site's documents say so. */
export const gpc = browser.globalPrivacyControl === true;
export const browserObjects = browser.doNotTrack === "1" || (gpc && !config.o);

let objected = browserObjects;
let choice: Purpose[] | undefined = gpc ? [] : undefined; // undefined: not chosen yet; empty: no
let choiceEnds = Infinity;
/** By who said it: the page, Consent Mode (`mode`), the TC string (`tcf`), the GPP string's European section (`gpp`), tools and vendors' calls by their names. */
const said: Record<string, Word | undefined> = {};
/** The consent tool's strings: TCF's once the visitor has chosen, GPP's once it is ready. */
export const strings: { gt?: string; gp?: string } = {};
let mayStore = false;
/** Who wants nothing sent before the choice, an exempt measurement's events included. */
const holding = new Set<string>();
/** The last no that was said, while it holds: sent again if a granted beacon was still under way, which might have arrived after it. */
export let no: object | undefined;
let noFailed = false;
let held: WireEvent[] = [];

const words = (): Word[] => Object.values(said).filter((word) => word) as Word[];
const allowed = (all: Word[], purpose: Purpose): boolean | undefined => {
  const speaking = all.filter(({ of }) => !of || of.includes(purpose));
  return speaking.length ? speaking.every(({ yes }) => yes.includes(purpose)) : undefined;
};

/** What is allowed by each that speaks of it; undefined where nobody has chosen. */
const decided = (): Purpose[] | undefined => {
  const all = words();
  const yes = PURPOSES.filter((purpose) => allowed(all, purpose));
  return yes.length || (all.length && (choice?.length || all.some(({ soft }) => !soft))) ? yes : undefined;
};

/** What a message says of the choice. The list is what all but the strings allow: these speak for themselves. */
export const consentMessage = (yes: number): Record<string, unknown> => {
  if (!yes) return { gp: strings.gp };
  const { tcf, gpp, ...others } = said;
  const listed = Object.values(others).filter((word) => word) as Word[];
  return {
    gp: strings.gp,
    g: listed.length ? PURPOSES.filter((purpose) => allowed(listed, purpose) ?? choice?.includes(purpose)) : undefined,
    gt: strings.gt,
    gx: choiceEnds < Infinity ? Math.max(0, Math.round((choiceEnds - Date.now()) / 1000)) : undefined,
  };
};

/** The page's answer is no longer in force, and nothing is agreed to until someone speaks again. A refusal by another one stays. */
const forgetYes = (): void => {
  delete said.page;
  choice = undefined;
  const rest = decided();
  choice = gpc ? [] : rest?.length ? undefined : rest;
  choiceEnds = Infinity;
  mayStore = false;
};

/** A yes, and still in force. */
export const granted = (): boolean => {
  if (Date.now() >= choiceEnds) {
    forgetYes();
    if (storing) emptyStorage();
  }
  return !!choice?.length;
};

/** Says a no; `failedOnly`: where it did not arrive before. */
export const say = (message: object, failedOnly?: boolean): void => {
  if (failedOnly && !noFailed) return;
  noFailed = false;
  void post(text(message)).then((pause) => {
    if (message !== no || pause < 1) return;
    noFailed = true;
    later(pause);
  });
};

const forgetEvents = (): void => {
  held = [];
  forgetAll();
  emptyStorage();
};

export const object = (message: object): void => {
  no = message;
  forgetEvents();
  say(message);
};

/** Someone has said something of the visitor's choice. */
export const decide = (): void => {
  // Under Global Privacy Control: a no, until the page or the TC string says yes. Consent Mode alone does not.
  choice = gpc && !(said.page ?? said.tcf)?.yes.length ? [] : decided();
  if (objected) return;
  if (granted()) {
    if (no) calm(); // what failed was the no
    no = undefined;
    const before = storing;
    store(mayStore);
    if (!storing) {
      if (said.page) emptyStorage(); // of storage the page alone speaks
    } else if (!before) {
      offer(stored((others) => others), 1);
    }
    dropOld();
    const copies = held;
    held = [];
    offer(copies, 1);
  } else if (choice && !no) {
    object({ g: [] });
  }
};

const dropOld = (): void => {
  const oldest = Date.now() - HELD_MS_MAX;
  held = held.filter((event) => event.t > oldest);
};

export const heldCount = (): number => (dropOld(), held.length);

export const record = (event: WireEvent): void => {
  if (objected) return;
  if (granted()) offer([event], 1);
  else if (!choice) {
    const sent = config.u && !holding.size;
    if (sent) offer([event], 0);
    // The first ones stay: they carry the campaign that brought the visitor here.
    dropOld();
    if (held.length < HELD_MAX) {
      const copy: WireEvent = { ...event, i: sent ? randomId() : event.i };
      if (sent || !config.u) copy.h = 1; // else nobody has had it
      held.push(copy);
      setTimeout(dropOld, HELD_MS_MAX + 1);
    }
  }
};

/** What someone beside the page allows; nothing: they have no word any more. */
export const word = (by: string, told: Word | undefined): void => {
  said[by] = told;
  decide();
};

/** Nothing leaves before the choice, for as long as one wants that. */
export const hold = (by: string, wanted: boolean): void => {
  if (wanted) holding.add(by);
  else holding.delete(by);
};

export const consent = (purposes: Purpose[], secondsLeft?: number, options?: ConsentOptions): void => {
  // What cannot be read counts as no.
  said.page = { yes: Array.isArray(purposes) ? purposes.filter((purpose) => typeof purpose === "string") : [] };
  choiceEnds = Number.isFinite(secondsLeft) ? Date.now() + secondsLeft! * 1000 : Infinity;
  mayStore = options?.storage === true;
  decide();
};

/** Nothing is recorded any more; whoever said so has told the server, or wants nothing told. */
export const fallSilent = (): void => {
  objected = true;
  forgetYes();
  forgetEvents();
};

/** The objection is taken back; the consent tool's answer is in force again. */
export const speakAgain = (): void => {
  objected = browserObjects;
  no = undefined;
  decide();
};

/** The page lay in the back/forward cache: what it knew of a yes may be out of date. */
export const forgetChoice = (): void => {
  if (choice?.length) forgetYes();
  choiceEnds = Infinity;
  mayStore = false;
  store(false);
};
