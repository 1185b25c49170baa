// How far down a page was read: once for each route, at nine tenths, as GA4 counts it.
import type { Core } from "../core";

/** Of the page's height. */
const FAR = 0.9;
/** Reading the height costs the browser a layout: not at every step. */
const PAUSE_MS = 250;

const scroll = ({ on, safely, happened, atRoute }: Core): void => {
  let told = false;
  let timer = 0;
  atRoute(() => {
    told = false;
  });
  on(window, "scroll", () => {
    if (told || timer) return;
    timer = setTimeout(safely(() => {
      timer = 0;
      if (told || scrollY + innerHeight < FAR * document.documentElement.scrollHeight) return;
      told = true;
      happened("scroll", { percent_scrolled: FAR * 100 });
    }), PAUSE_MS);
  });
};
export default scroll;
