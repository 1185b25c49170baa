// What the server puts in, and what the script finds where it runs.

/**
 * The server's: e, the collector's path; u, whether events may go before the choice; g, the global name; o, whether a yes on this site
 * outranks Global Privacy Control; b, an address that blockers block, where the site does not want to be told of visitors who have one; r, vendors whose own tags
 * are on the pages, of which is said whether they ran.
 */
export interface Settings {
  e: string;
  u: boolean;
  g: string;
  o?: boolean;
  b?: string;
  r?: string[];
}

/** What is there at load. `since`: when that was. `calls`: those made before the core has begun. */
export interface Loaded {
  config: Settings;
  script: HTMLOrSVGScriptElement | null;
  since: number;
  calls: unknown[];
  /** Does something when the page has a moment to spare. */
  atLeisure(act: () => void): void;
}

/** The core, once it has begun: hears of an event of the page's, and does what there is to do. "held": how many copies wait. */
export type Hear = (event: { type: string }) => unknown;

/** The parameter of the function that the build puts around the core. */
declare const LOADED: Loaded;

export const loaded = LOADED;
export const config = loaded.config;
export const page = window as unknown as Record<string, any>;
export const browser = navigator as Navigator & { globalPrivacyControl?: boolean };
/** The tag that loaded this script: its `data-` attributes. */
export const tag: DOMStringMap = loaded.script?.dataset ?? {};
