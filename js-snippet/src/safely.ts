// Nothing of ours may end in the page's error handler: a mistake in a call is the page's, and ends here.

export const safely =
  <Parameters extends unknown[]>(act: (...parameters: Parameters) => void) =>
  (...parameters: Parameters): void => {
    try {
      act(...parameters);
    } catch {}
  };

export const on = (target: EventTarget, names: string, act: (event: any) => void): void =>
  names.split(" ").forEach((name) => target.addEventListener(name, safely(act), true));

/** How long the page may be busy before what waits is done all the same. */
const BUSY_MS_MAX = 1000;

/** When the page has nothing else to do; in a task of its own where the browser cannot say when that is. */
export const atLeisure = (act: () => void): void => {
  // For `setTimeout`, an object is a delay of nothing.
  ((window.requestIdleCallback ?? setTimeout) as any)(safely(act), { timeout: BUSY_MS_MAX });
};
