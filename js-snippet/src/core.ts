// What a part of the script (a vendor's shim, a consent tool, something watched) may do with the core. Parts are built apart and put in by the server, for those
// sites alone whose documents ask for them.
import type { Properties } from "./api";
import { type Word, hold, record, word } from "./consent";
import { ask, readList, readMode } from "./follow";
import { optIn, optOut } from "./opt";
import { on, safely } from "./safely";
import { sayAside } from "./send";
import { config, page, tag } from "./settings";
import { atOpening, atRoute, moved, view } from "./views";
import { type WireEvent, eventOf, identify } from "./wire";

export const core = {
  config,
  page,
  tag,
  on,
  safely,
  ask,
  readList,
  readMode,
  word,
  hold,
  identify,
  view,
  atOpening,
  atRoute,
  moved,
  sayAside,
  optOut,
  optIn,
  happened: (kind: string, properties?: Properties, place?: Partial<WireEvent>): void => record(eventOf(kind, properties, place)),
};

export type Core = typeof core;
export type { Word, WireEvent };
/** Takes what the part before it handed on, and hands on what it adds, if anything. */
export type Part<Before = Core, After = void> = (before: Before) => After;
