// The live view: what came in, and what became of it at each destination. Everything it is told is clean; it keeps nothing but what is on the screen.
"use strict";

const ROWS_MAX = 100; // older rows leave the page
const QUEUE_MAX = 400; // a hidden page does not draw; what waits longer than this is counted as missed
const PER_FRAME = 40;
const NUMBERS_EVERY_MS = 2000;
const NUMBERS_SOON_MS = 500; // after something happened
const TRY_AGAIN_MS = 4000;
const SEEN_MAX = 500; // visitor ids per destination that are remembered, to show which come again
const COLUMNS_MAX = 3; // with more destinations than this, each row stacks them

const HELD = "held copy"; // the field that marks one

const WITHHELD = {
  no_consent: "the visitor has not agreed to this",
  held_copy: "had it already, when it happened",
  policy: "the policy in force allows it nothing",
};
const STATES = {
  accepted: "received",
  accepted_unproven: "sent; the receiver proves nothing",
  dropped_by_receiver: "dropped by the receiver",
  rejected: "refused by the receiver",
  expired: "too old for the receiver",
  withheld: "withheld",
  purged: "purged: the visitor said no today, or withdrew",
};
const COURIERS = { holding_back: "holding events back until their hour or day is over", waiting: "waiting to try again", breaker_open: "not reachable; trying now and then", paused: "paused" };
const LOG = { open: "the log takes events", full: "the disk is full: nothing is taken", failed: "the log failed a sync: nothing is acknowledged" };
const BASES = { exempt_measurement: "audience measurement" };

const byId = (id) => document.getElementById(id);
const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const words = (name) => String(name).replaceAll("_", " ");

const board = byId("board");
const events = byId("events");
const destinations = new Map(); // name → what /overview.json says of it
const heads = new Map(); // name → its head
const rows = new Map(); // offset → { element, cells }
const seen = new Map(); // destination → visitor id → the first record that had it
let queue = [];
let drawing = false;
let numbersSoon;
let missed = 0;
let several = false; // sites
const tally = { cameIn: 0, kept: 0, refused: 0 };

/* The columns */

function knowDestination(name, about) {
  const before = destinations.get(name);
  destinations.set(name, about ?? before ?? { name, basis: "", purposes: [], transform: "", ledger: {} });
  if (!heads.has(name)) {
    const head = make("div");
    head.dataset.name = name;
    heads.set(name, head);
    board.style.setProperty("--columns", heads.size);
    board.classList.toggle("stacked", heads.size > COLUMNS_MAX);
    for (const row of rows.values()) if (row.cells) addCell(row, name);
  }
  if (about?.basis !== before?.basis || !before) sortColumns();
  if (about || !before) showHead(name);
  for (const row of rows.values()) showPending(row.cells?.get(name));
}

/** Those that may have an event before the choice come first, then those that need a yes; by name among themselves. */
function sortColumns() {
  const place = (name) => `${{ exempt_measurement: 1, consent: 2 }[destinations.get(name).basis] ?? 3} ${name}`;
  const names = [...heads.keys()].sort((one, other) => place(one).localeCompare(place(other)));
  for (const name of names) {
    byId("heads").append(heads.get(name));
    for (const row of rows.values()) if (row.cells) row.element.append(row.cells.get(name).element);
  }
}

/** What a cell says until the destination's end of the record is known. */
function showPending(cell) {
  if (!cell || !cell.element.classList.contains("pending")) return;
  const text = COURIERS[destinations.get(cell.destination)?.state] ?? "on its way";
  if (cell.pending === text) return;
  cell.pending = text;
  cell.element.replaceChildren(make("p", "to", cell.destination), verdict(text));
}

function showHead(name) {
  const { basis, purposes, transform, state, lag, ledger, unsaid, trials, trials_faulty: faulty, last_finding: finding, last_answer: answer } = destinations.get(name);
  const head = heads.get(name);
  head.className = `head ${basis}`;
  const ground = basis === "consent" ? `consent to ${purposes.join(", ")}` : (BASES[basis] ?? words(basis));
  const received = (ledger.accepted ?? 0) + (ledger.accepted_unproven ?? 0);
  const counts = make("p", "counts", `${received} received · ${ledger.withheld ?? 0} withheld${lag ? ` · ${lag} waiting` : ""}`);
  const basisLine = make("p", "ground", `basis: ${ground}`);
  basisLine.append(make("span", "transform", ` · ${transform}`));
  head.replaceChildren(make("h2", "", name), basisLine, counts);
  if (unsaid) head.append(make("p", "counts", `${unsaid} field${unsaid === 1 ? "" : "s"} it has no words for`));
  if (trials) head.append(make("p", faulty ? "state" : "counts", `its validator: ${trials - faulty} of ${trials} samples without fault${finding ? ` (${words(finding.toLowerCase())})` : ""}`));
  if (COURIERS[state]) head.append(make("p", "state", answer ? `${COURIERS[state]} (the last answer: ${answer})` : COURIERS[state]));
}

/* The rows */

function newRow() {
  const element = make("li", "row");
  const came = make("div", "came");
  element.append(came);
  events.prepend(element);
  byId("empty").hidden = true;
  byId("clear").hidden = false;
  const row = { element, came, cells: undefined, at: 0 };
  while (events.childElementCount > ROWS_MAX) {
    const last = events.lastElementChild;
    if (last.dataset.offset) rows.delete(Number(last.dataset.offset));
    last.remove();
  }
  return row;
}

function rowOf(offset) {
  let row = rows.get(offset);
  if (!row) {
    row = newRow();
    row.element.dataset.offset = offset;
    row.cells = new Map();
    rows.set(offset, row);
    row.came.append(about(`#${offset}`, "", undefined));
    for (const head of byId("heads").querySelectorAll("[data-name]")) addCell(row, head.dataset.name);
  }
  return row;
}

function addCell(row, name) {
  const cell = { element: make("div", "cell pending"), destination: name, offset: Number(row.element.dataset.offset) };
  showPending(cell);
  row.cells.set(name, cell);
  row.element.append(cell.element);
}

function verdict(text) {
  const line = make("p", "verdict");
  line.append(make("i"), make("span", "", text));
  return line;
}

function about(title, kind, at, extra) {
  const line = make("p", "about");
  line.append(make("span", `visitor ${kind}`, title));
  if (extra) line.append(make("span", "extra", extra));
  if (at) line.append(make("time", "", new Date(at).toLocaleTimeString([], { hourCycle: "h23" })));
  return line;
}

function shapeOf({ fields, unknown }) {
  const list = make("ul", "shape");
  for (const [name, length] of fields) {
    if (name === HELD) continue;
    const item = make("li");
    const bar = make("span", "bar");
    bar.style.width = `${Math.min(70, 5.5 * Math.sqrt(length || 4))}px`; // a number has no length
    item.append(make("span", "name", words(name)), bar, make("span", "length", length || ""));
    list.append(item);
  }
  if (unknown) list.append(make("li", "other", `${unknown} more that we have no name for`));
  return list;
}

function visitorWords(visitor) {
  if (visitor.startsWith("granted")) return ["granted", visitor.replace("granted", "agreed")];
  if (visitor.startsWith("objected")) return ["objected", visitor];
  return ["", visitor === "unknown" ? "not chosen yet" : visitor];
}

function arrived(item) {
  tally.cameIn += 1;
  const [kind, visitor] = visitorWords(item.visitor);
  const kept = typeof item.offset === "number";
  const row = kept ? rowOf(item.offset) : newRow();
  const held = item.shape.fields.some(([name]) => name === HELD);
  const where = several ? `${item.site} · ${item.protocol}` : item.protocol;
  row.came.replaceChildren(about(visitor, kind, item.at, kept ? `${where} #${item.offset}` : where), shapeOf(item.shape));
  // A copy that waited in the page for this yes: the same event may have come in once before, without it.
  if (held) row.came.querySelector(".visitor").after(make("span", "held", HELD));
  if (kept) {
    tally.kept += 1;
  } else {
    tally.refused += 1;
    const nowhere = make("div", "nowhere");
    const why = item.because ?? (item.refused ? words(item.refused) : "there was no event in it");
    nowhere.append(verdict("went nowhere"), make("p", "why", `${why}; counted, and nothing kept`));
    row.element.append(nowhere);
  }
  byId("came-in").textContent = tally.cameIn;
  byId("kept").textContent = tally.kept;
  byId("refused").textContent = tally.refused;
}

function settled(item) {
  knowDestination(item.destination);
  const row = rowOf(item.offset);
  const cell = row.cells.get(item.destination);
  const { basis } = destinations.get(item.destination);
  const kind = item.state === "withheld" || item.state === "purged" ? "withheld" : item.state.startsWith("accepted") ? "received" : "failed";
  cell.element.className = `cell ${basis} ${kind}`;
  cell.element.replaceChildren(make("p", "to", item.destination), verdict(STATES[item.state] ?? words(item.state)));
  if (item.rule) cell.element.append(make("p", "why", WITHHELD[item.rule] ?? words(item.rule)));
  if (item.received) {
    cell.received = item.received;
    showReceived(row);
  }
}

/** The lines by which a received event is told at a glance, in the order in which a person asks; the whole of it is one click away. */
const GLANCE = [
  ...["name", "page", "visitor_id", "session_id", "campaign", "click_ids", "referrer_kind", "referrer_host", "referrer_page", "value", "items", "tax", "shipping", "coupon", "transaction_id", "properties"],
  ...["country", "device", "language", "screen"],
];

function glance(received) {
  const lines = [];
  for (const key of GLANCE) {
    const value = received[key];
    if (value === undefined || value === null || value.length === 0) continue;
    lines.push({ key, text: inWords(key, value, received) });
  }
  return lines;
}

function inWords(key, value, received) {
  if (key === "value") return `${value} ${received.currency ?? ""}`;
  if (key === "items") return value.map((item) => `${item.quantity ?? 1} × ${item.name ?? item.id ?? "a product"}`).join(", ");
  if (key === "page") return value.path;
  if (key === "campaign") return [value.source, value.medium, value.name, value.term, value.content, value.id].filter(Boolean).join(" / ");
  if (key === "device") return [`${value.browser} ${value.major ?? ""}`.trim(), value.system, value.form].filter(Boolean).join(", ");
  if (typeof value !== "object") return String(value);
  return Object.entries(value).map(([name, inner]) => `${words(name)} ${inner}`).join(", ");
}

/** Where two destinations received the same record, what only one of them got stands out. */
function showReceived(row) {
  const shown = [...row.cells.values()].filter((cell) => cell.received);
  for (const cell of shown) {
    const others = shown.filter((other) => other !== cell);
    const list = make("dl", "fields");
    for (const { key, text } of glance(cell.received)) {
      const only = others.length > 0 && others.every((other) => other.received[key] === undefined);
      const value = make("dd", only ? "only" : "");
      value.title = text;
      value.append(make("span", "value", text));
      if (key === "visitor_id" && seenBefore(cell, text)) value.append(make("span", "again", "again"));
      list.append(make("dt", "", words(key)), value);
    }
    const exact = make("details", "whole");
    exact.append(make("summary", "", "all of it"), make("pre", "", JSON.stringify(cell.received, undefined, 1)));
    cell.element.querySelector(".fields")?.remove();
    cell.element.querySelector(".whole")?.remove();
    cell.element.append(list, exact);
  }
}

/** Whether a destination got this visitor id with an earlier record: what tells a lasting id from one that is new each time. */
function seenBefore(cell, id) {
  const ids = seen.get(cell.destination) ?? seen.set(cell.destination, new Map()).get(cell.destination);
  const first = ids.get(id);
  if (first === undefined || cell.offset < first) ids.set(id, cell.offset);
  if (ids.size > SEEN_MAX) ids.delete(ids.keys().next().value);
  return first !== undefined && first < cell.offset;
}

/* The stream */

function enqueue(draw) {
  queue.push(draw);
  if (queue.length > QUEUE_MAX) {
    const over = queue.length - QUEUE_MAX;
    queue = queue.slice(over);
    showMissed(over);
  }
  if (!drawing) {
    drawing = true;
    requestAnimationFrame(drawSome);
  }
}

function drawSome() {
  for (const draw of queue.splice(0, PER_FRAME)) draw();
  drawing = queue.length > 0;
  if (drawing) requestAnimationFrame(drawSome);
  numbersSoon ??= setTimeout(readNumbers, NUMBERS_SOON_MS);
}

function showMissed(more) {
  missed += more;
  byId("missed").textContent = `Too much at once to show: ${missed} lines are missing on this page. Nothing else missed them.`;
  byId("missed").hidden = false;
}

function connection(state, text) {
  byId("connection").dataset.state = state;
  byId("connection").textContent = text;
}

function connect() {
  const stream = new EventSource("/live");
  stream.onopen = () => {
    connection("watching", "watching");
    byId("lost").hidden = true;
    byId("full").hidden = true;
    if (parent !== window) parent.postMessage("watching", "*"); // a page that frames this one may want to wait for it
    readNumbers();
  };
  stream.addEventListener("item", (event) => {
    const item = JSON.parse(event.data);
    enqueue(() => (item.kind === "arrived" ? arrived(item) : settled(item)));
  });
  stream.addEventListener("missed", (event) => showMissed(Number(event.data)));
  stream.onerror = async () => {
    connection("lost", "connection lost");
    if (stream.readyState !== EventSource.CLOSED) {
      byId("lost").hidden = false; // the browser tries again by itself
      return;
    }
    // The listener answered, and not with a stream: all seats are taken.
    byId("full").hidden = false;
    setTimeout(connect, TRY_AGAIN_MS);
  };
}

/* The numbers */

async function readNumbers() {
  numbersSoon = undefined;
  if (document.hidden) return;
  try {
    const reply = await fetch("/overview.json", { cache: "no-store" });
    if (!reply.ok) throw new Error(reply.status);
    showNumbers(await reply.json());
    byId("stale").hidden = true;
  } catch {
    byId("stale").hidden = byId("today").hidden || !byId("lost").hidden;
  }
}

function showAlerts(alerts) {
  const lines = alerts.map(({ about, says, since }) => {
    const line = make("p", "notice bad");
    line.append(make("b", "", about ? `${about}: ` : ""), says, make("small", "", ` Since ${new Date(since).toLocaleString()}.`));
    return line;
  });
  // A screen reader reads what is put there: so only when it is something else.
  const said = alerts.map(({ alert, about }) => `${alert} ${about}`).join();
  if (byId("alerts").dataset.said === said) return;
  byId("alerts").dataset.said = said;
  byId("alerts").replaceChildren(...lines);
}

function showNumbers({ sites, destinations: known, log, recleanse, egress, alerts }) {
  several = sites.length > 1;
  showAlerts(alerts);
  for (const destination of known) knowDestination(destination.name, destination);
  const stored = sites.reduce((sum, site) => sum + site.stored, 0);
  const refused = sites.reduce((sum, site) => sum + site.refused.reduce((all, one) => all + one.count, 0), 0);
  const log_line = LOG[log.state] ?? words(log.state);
  const recleansing = recleanse.running ? ` · recleanse: ${recleanse.segments_done} of ${recleanse.segments} log segments done` : "";
  byId("today-line").textContent = `Today: ${stored} kept, ${refused} refused · ${log_line}${recleansing}`;
  const grid = make("div", "today-grid");
  for (const site of sites) {
    const lines = site.refused.filter((one) => one.count).map((one) => [one.because, one.count]);
    for (const { shim, call, count } of site.uncovered ?? []) lines.push([`${shim}: ${call === "twin" ? "said by another vendor's call already" : `${call}, which no shim covers`}`, count]);
    if (site.epoch_breaks) lines.push(["the day's key was lost and made anew", site.epoch_breaks]);
    const people = [["different visitors, about", site.visitors], ["visits, about", site.visits]];
    grid.append(numbers(site.name, [...people, ["kept", site.stored], ...lines, ...crowdLines(site.crowds)]));
    if (site.missed?.length) grid.append(numbers(`${site.name}: vendors' own tags that did not run, four weeks`, site.missed.map(missedLine)));
  }
  grid.append(numbers("Event log", [["records since the start", log.records], ["records per sync", log.events_per_sync.toFixed(1)]]));
  const closed = egress.entries ? [["signed entries", egress.entries], ["closed until", egress.last]] : [["no day is closed yet", "–"]];
  grid.append(numbers("What left, by day (UTC)", closed));
  if (recleanse.segments || recleanse.running) {
    const title = `Recleanse (${recleanse.running ? "under way" : "over"}: ${recleanse.because})`;
    const done = `${recleanse.segments_done} of ${recleanse.segments}`;
    grid.append(numbers(title, [["log segments done", done], ["records made narrower", recleanse.replaced]]));
  }
  for (const { name, kind, in_flight, lag, ledger, left } of known) {
    const lines = Object.entries(ledger).map(([state, count]) => [STATES[state] ?? words(state), count]);
    grid.append(numbers(`${name} (${kind})`, [["waiting", lag], ["under way", in_flight], ...lines, ...leftLines(left)]));
  }
  byId("today-detail").replaceChildren(grid);
  byId("today").hidden = false;
}

function missedLine({ tag, browser, visits, missed, share, low, high }) {
  const percent = (part) => (part * 100).toFixed(1);
  return [`${tag}, ${words(browser)}: in ${missed} of ${visits} visits with consent (95 %: ${percent(low)} to ${percent(high)})`, `${percent(share)} %`];
}

function leftLines({ parcels, events, bytes, fields, schemas }) {
  if (!parcels) return [["handed over today (UTC)", "nothing"]];
  const kilobytes = Math.max(1, Math.round(bytes / 1000));
  return [
    ["handed over today (UTC), attempts", parcels],
    ["… events in them", events],
    ["… kilobytes", kilobytes],
    ["… different fields", fields],
    ["… different sets of fields", schemas],
  ];
}

function crowdLines({ visitors, tuples, pages, none_yet, released }) {
  if (visitors === 1) return [["crowds", "not asked for"]];
  const lines = none_yet
    ? [["no crowd yet: devices, places and pages are withheld until there is", `of ${visitors}`]]
    : [["kinds of visitors of which there are crowds", tuples], ["pages of which there are", pages]];
  for (const [name, { events, in_crowds }] of Object.entries(released)) {
    lines.push([`in a crowd, to ${name}`, `${Math.floor((100 * in_crowds) / events)} %`]);
  }
  return lines;
}

function numbers(title, lines) {
  const section = make("section");
  const list = make("ul");
  for (const [name, count] of lines) {
    const line = make("li");
    line.append(make("span", "", name), make("b", "", count));
    list.append(line);
  }
  section.append(make("h3", "", title), list);
  return section;
}

byId("clear").addEventListener("click", () => {
  events.replaceChildren();
  rows.clear();
  seen.clear();
  missed = 0;
  byId("missed").hidden = true;
  byId("empty").hidden = false;
  byId("clear").hidden = true;
});
document.addEventListener("visibilitychange", readNumbers);
setInterval(readNumbers, NUMBERS_EVERY_MS);
connect();
