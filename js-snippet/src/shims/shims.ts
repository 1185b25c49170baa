// What all shims have in common: whose page view counts, what two vendors say alike, what is counted that no shim covers, and how a vendor's stub is taken over.
import type { Properties } from "../api";
import type { Core, WireEvent } from "../core";
import { type Shim, UNCOVERED } from "./calls";
import { canonical, properties, property } from "./names";

/** A shop tells two vendors of one purchase within a moment. What is said again after that is a second one. */
const TWIN_MS = 1000;
/** Counts of calls that are not covered, per page. */
const COUNT_MAX = 1000;

const shims = (core: Core) => {
  const route = (): string => location.pathname + location.search;
  /** Who opened the route that the page is on, and which. */
  let owner: [by: string, route: string] | undefined;
  /** Who says that every route is a page view; without one, the page's calls do. */
  let automatic: Shim | undefined;
  const lately: Record<string, [by: string, when: number]> = {};
  let counts: Record<string, number> = {};
  core.sayAside(() => {
    const said = counts;
    counts = {};
    return Object.keys(said).length ? said : undefined;
  });

  /** Counts a call that is not covered. */
  const uncovered = (by: Shim, call: string): void => {
    const known = UNCOVERED[by];
    const key = `${by}.${known.includes(call) ? call : "other"}`;
    counts[key] = Math.min((counts[key] ?? 0) + 1, COUNT_MAX);
  };
  const view = (by: Shim, said?: Properties, place?: Partial<WireEvent>): void => {
    const before = owner;
    core.moved(); // what the history has moved to is known a moment later by itself
    if (owner && owner[1] === route()) {
      if (owner[0] !== by) return uncovered(by, "twin");
      if (owner !== before) return; // the route has just been counted
    }
    owner = [by, route()];
    core.view(place, said);
  };
  core.atOpening(() => {
    if (!automatic || (owner && owner[1] === route())) return;
    owner = [automatic, route()];
    core.view();
  });

  return {
    ...core,
    canonical,
    properties,
    property,
    uncovered,
    view,
    /** Whether each route is a page view by itself. */
    automatic: (by: Shim, wanted: boolean): void => {
      if (wanted) automatic ??= by;
      else if (automatic === by) automatic = undefined;
    },
    event: (by: Shim, name: string, said?: Properties, place?: Partial<WireEvent>): void => {
      const last = lately[name];
      const now = Date.now();
      if (last && last[0] !== by && now - last[1] < TWIN_MS) return uncovered(by, "twin");
      lately[name] = [by, now];
      core.happened(name, said, place);
    },
    /** Calls a function of the page's, as the vendor would once it has sent. */
    callBack: (act: unknown): void => {
      if (typeof act === "function") setTimeout(core.safely(() => act()));
    },
    /**
     * Takes a vendor's stub over: an array that calls were pushed to, `[name, …]`. The object stays the same, so that who holds it goes on with it. `covered` is
     * what is done; any other function of the stub's counts by `names`, and does nothing. `take` (what is answered) may be undefined.
     */
    takeStub: (by: Shim, global: string, covered: Record<string, (...said: any[]) => unknown>, names: (called: string) => string): any => {
      const stub = (core.page[global] ??= []);
      const waiting: unknown[] = Array.isArray(stub) ? stub.splice(0) : [];
      const call = (name: unknown, said: unknown[]): unknown => {
        let answer: unknown;
        core.safely(() => {
          const act = Object.prototype.hasOwnProperty.call(covered, String(name)) ? covered[String(name)] : undefined;
          if (act) answer = act(...said);
          else uncovered(by, names(String(name)));
        })();
        return answer;
      };
      const stubbed = Object.keys(stub).filter((name) => typeof stub[name] === "function");
      for (const name of new Set([...stubbed, ...Object.keys(covered)])) {
        if (name !== "push") stub[name] = (...said: unknown[]) => call(name, said);
      }
      stub.push = (...entries: unknown[]) => {
        entries.forEach((entry) => Array.isArray(entry) && call(entry[0], entry.slice(1)));
        return 0;
      };
      return { stub, drain: () => waiting.forEach((entry: any) => entry?.length && call(entry[0], Array.prototype.slice.call(entry, 1))) };
    },
  };
};

export type Shims = ReturnType<typeof shims>;
export default shims;
