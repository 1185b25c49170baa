// The page around the shop. It is not measured itself: it frames the shop and the live view, and lets a visitor be simulated.
"use strict";

const LIVE_PATIENCE_MS = 3000;
const LOOK_EVERY_MS = 200;
const byId = (id) => document.getElementById(id);
const shop = byId("shop");
const globalName = document.body.dataset.global;

/** What the shop's script puts on its beacons (shop.js reads it): only this demonstration believes a forwarded address from loopback. */
window.simulated = { address: "", doNotTrack: false };

/** A fresh address in the chosen place: without a cookie, address and browser are what a visitor is told by for a day. */
function moveTo(place) {
  window.simulated.address = place && place + (2 + Math.floor(Math.random() * 250));
  for (const option of byId("visit-as").options) {
    const [city] = option.textContent.split(",");
    option.textContent = option.value && option.value === place ? `${city}, ${window.simulated.address}` : city;
  }
}
moveTo(byId("visit-as").value);

const STORIES = {
  loading: "One moment…",
  blocked: "The shop's script did not load or was blocked, so nothing was sent: the shop itself works all the same.",
  browser: "This browser objects by itself (Global Privacy Control or Do Not Track). No event leaves the page; only the objection does.",
  doNotTrack: "The browser says Do Not Track. What the page sends is refused at the door, whatever the visitor clicks.",
  optedOut: "The visitor opted out. A page loaded from now on still asks, and the server refuses it: the opt-out outlasts every yes.",
  refused: "The visitor said no. The copies are forgotten, the refusal is sent without an event, and nothing follows.",
  accepted: "The visitor agreed. Copies that waited went to “customers” alone; from now on both destinations receive each event, each its own view of it.",
  unknown: "The visitor has not chosen. “measurement” received the visit without any lasting id; “customers” did not, and a copy waits in the page for a yes.",
};

let shopStarted = false;
function startShop() {
  if (shopStarted) return;
  shopStarted = true;
  shop.src = shop.dataset.src;
}

// The shop opens when the live view watches, so that its first page view is seen.
window.addEventListener("message", (event) => {
  if (event.source !== byId("live").contentWindow || event.data !== "watching") return;
  byId("unreachable").hidden = true;
  startShop();
});
setTimeout(() => {
  if (shopStarted) return;
  byId("unreachable").hidden = false;
  startShop();
}, LIVE_PATIENCE_MS);

/** On a narrow window the controls fold away; there is a line to open them then. */
const narrow = matchMedia("(max-width: 820px)");
function fold() {
  byId("simulate").open = !narrow.matches;
}
narrow.addEventListener("change", fold);
fold();

function go(path) {
  shop.contentWindow.location.assign(path);
}

byId("visit-as").addEventListener("change", (event) => {
  moveTo(event.target.value);
  shop.contentWindow.location.reload();
});
byId("do-not-track").addEventListener("change", (event) => {
  window.simulated.doNotTrack = event.target.checked;
  shop.contentWindow.location.reload();
});
byId("newsletter").addEventListener("click", () => {
  fold();
  go("/shop?utm_source=newsletter&utm_medium=email&utm_campaign=autumn&recipient=jane.doe@example.org");
});
byId("start-over").addEventListener("click", () => {
  fold();
  byId("visit-as").value ||= byId("visit-as").options[0].value; // whoever objected from the real address stays the same person today
  moveTo(byId("visit-as").value);
  localStorage.removeItem("shop-choice");
  localStorage.removeItem("shop-account");
  go("/start-over");
});

function situation(page) {
  if (!page.document.body || page.location.href === "about:blank") return "loading";
  const functions = page[globalName];
  if (page.scriptFailed) return "blocked";
  if (!functions?.held) return "loading";
  if (page.navigator.globalPrivacyControl === true || page.navigator.doNotTrack === "1") return "browser";
  if (window.simulated.doNotTrack) return "doNotTrack";
  const choice = JSON.parse(localStorage.getItem("shop-choice") ?? "null");
  if (choice?.optedOut) return "optedOut";
  if (!choice) return "unknown";
  return choice.purposes.length ? "accepted" : "refused";
}

function show(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text; // unchanged text is not announced again
}

function look() {
  let held = 0;
  let now = "loading";
  let address = "";
  try {
    const page = shop.contentWindow;
    now = situation(page);
    held = page[globalName]?.held?.() ?? 0;
    address = page.location.href === "about:blank" ? "" : page.location.host + decodeURIComponent(page.location.pathname + page.location.search);
  } catch {
    // The shop is between two pages.
    return;
  }
  show("story", STORIES[now]);
  show("memory", held ? `${held} ${held === 1 ? "copy waits" : "copies wait"} in the page's memory for a yes` : "no copy waits in the page's memory");
  show("address", address);
  const beads = byId("beads");
  while (beads.childElementCount > held) beads.lastElementChild.remove();
  while (beads.childElementCount < held) beads.append(document.createElement("i"));
}
setInterval(look, LOOK_EVERY_MS);
