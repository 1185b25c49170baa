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
