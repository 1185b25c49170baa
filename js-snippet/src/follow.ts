// Follows the page's consent tool without a call by the page: the IAB's interfaces, and Consent Mode where asked.
import type { Purpose } from "./api";
import { no, PURPOSES, strings, word } from "./consent";
import { post, text } from "./send";
import { page } from "./settings";
import { safely } from "./safely";

/** How long a consent tool is waited for. */
const ASK_AGAIN_MS = 250;
const ASKED_MAX = 40;
/** Of each of ours. */
const TCF_PURPOSES = [[1, 8, 9], [1, 5, 6], [1, 2, 3, 4, 7]];

/** A consent tool may load after this script: the question is put again until it can be put, or the time is over. */
export const ask = (question: () => void, left = ASKED_MAX): void => {
  try {
    question();
  } catch {
    if (left) setTimeout(ask, ASK_AGAIN_MS, question, left - 1);
  }
};

/** Our purposes, by those of the TCF that are consented to (docs/consent-signals.md). What is no consent for certain is none. */
const purposesOf = (consented: (purpose: number) => unknown): Purpose[] =>
  PURPOSES.filter((_purpose, at) => TCF_PURPOSES[at]!.every((number) => consented(number) === true));

export const followTcf = (): void =>
  page.__tcfapi("addEventListener", 2, safely((data: any, answered: unknown) => {
    // Where it does not apply, or the tool is still asking, nothing was chosen: neither a yes nor a no.
    if (!answered || !data.gdprApplies || !/^(tcloaded|useractioncomplete)$/.test(data.eventStatus)) return;
    const gt = String(data.tcString ?? "");
    strings.gt = gt;
    word("tcf", { yes: gt ? purposesOf((number) => data.purpose?.consents?.[number]) : [] }); // no string: nothing to show for it
  }));

export const followGpp = (): void =>
  page.__gpp("addEventListener", safely(({ pingData }: any) => {
    const before = strings.gp;
    if (pingData.signalStatus !== "ready") return;
    const gp = String(pingData.gppString ?? "");
    strings.gp = gp;
    if (gp === before) return;
    const europe = pingData.parsedSections?.tcfeuv2;
    if (europe) word("gpp", { yes: purposesOf((number) => (europe[0] ?? europe).PurposeConsents?.[number - 1]) });
    // It may be an objection, which must not wait for the next event.
    if (before && !no) void post(text({ gp }));
  }));

/** What is in a list of the page's now, and what is put there later, read one by one. */
export const readList = (list: { push: (...entries: any[]) => unknown } & unknown[], read: (entry: any) => void): void => {
  const safe = safely(read);
  list.forEach(safe);
  const push = list.push;
  list.push = (...entries) => {
    entries.forEach(safe);
    return push.apply(list, entries);
  };
};

const state: Record<string, unknown> = {};
/** One entry of the data layer, where it speaks of consent. */
export const readMode = (entry: any): void => {
  // Defaults are no one's choice, and may be another region's.
  if (entry[0] !== "consent" || entry[1] !== "update") return;
  Object.assign(state, entry[2]);
  if (!("analytics_storage" in state || "ad_storage" in state)) return;
  const allowed = (...names: string[]) => names.every((name) => state[name] === "granted");
  const yes: Purpose[] = [];
  if (allowed("analytics_storage")) yes.push("analytics");
  if (allowed("ad_storage", "ad_user_data", "ad_personalization")) yes.push("ads");
  word("mode", { yes });
};

export const followMode = (): void => readList((page.dataLayer ??= []), readMode);
