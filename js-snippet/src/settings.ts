// What the server puts in, and what the script finds where it runs.

/**
 * Put in by the server: e, the collector's path; u, whether events may go before the choice; g, the global name; o, whether a yes on this site
 * outranks Global Privacy Control; b, an address that blockers block, where the site does not want to be told of visitors who have one.
 */
declare const __FIRSTHAND_CONFIG__: { e: string; u: boolean; g: string; o?: boolean; b?: string };

export const config = __FIRSTHAND_CONFIG__;
export const page = window as unknown as Record<string, any>;
export const browser = navigator as Navigator & { globalPrivacyControl?: boolean };
/** The tag that loaded this script: its `data-` attributes. */
export const tag: DOMStringMap = document.currentScript?.dataset ?? {};
