// The shop's own script: shelf, basket, account, and the consent banner, which any site has. It remembers the visitor's choice, as a site's banner does,
// and tells it to the snippet on every page.
"use strict";

const CONSENT_SECONDS = 180 * 24 * 60 * 60; // asked again after half a year
const site = document.documentElement.dataset;
const PRODUCTS = {
  bowl: { name: "Wide bowl", price: 24, colour: "clay", text: "Thrown in red clay, glazed inside. Holds soup for one, salad for two, keys for all." },
  cup: { name: "Morning cup", price: 14, colour: "sage", text: "Stoneware with a handle that fits three fingers. Keeps warm as long as a newspaper." },
  jug: { name: "Water jug", price: 38, colour: "blue", text: "A litre and a quarter, and a lip that does not drip." },
};

const stored = (name, otherwise) => JSON.parse(localStorage.getItem(name) ?? "null") ?? otherwise;
const store = (name, value) => localStorage.setItem(name, JSON.stringify(value));
const byId = (id) => document.getElementById(id);

/* The demonstration's own: a simulated visitor. A browser does not let a page forge its address, so a header says it, which only this
   demonstration's server believes, from this machine alone. */

const prefix = site.script.slice(0, site.script.lastIndexOf("/") + 1);
const realFetch = window.fetch;
window.fetch = (address, options = {}) => {
  const simulated = window.parent.simulated;
  if (!simulated || !String(address).startsWith(prefix)) return realFetch(address, options);
  const headers = new Headers(options.headers);
  if (simulated.address) headers.set("x-forwarded-for", simulated.address);
  if (simulated.doNotTrack) headers.set("x-do-not-track", "1");
  return realFetch(address, { ...options, headers });
};
window.addEventListener("error", (event) => { if (event.target?.tagName === "SCRIPT") window.scriptFailed = true; }, true);

/* The snippet: calls made before it has loaded wait in the list. */

const snippet = (...call) => (window[site.global] ??= []).push(call);

/* The choice */

function rememberedChoice() {
  const choice = stored("shop-choice");
  if (choice?.ends && choice.ends < Date.now()) {
    localStorage.removeItem("shop-choice");
    return undefined;
  }
  return choice;
}

function choose(purposes) {
  const ends = Date.now() + CONSENT_SECONDS * 1000;
  store("shop-choice", { purposes, ends });
  snippet("consent", purposes, CONSENT_SECONDS);
  showChoice();
  signAgain();
}

function repeatChoice() {
  const choice = rememberedChoice();
  if (choice?.purposes) snippet("consent", choice.purposes, Math.round((choice.ends - Date.now()) / 1000));
}
repeatChoice();
// A page that comes back from the back/forward cache may be older than the choice.
window.addEventListener("pageshow", (event) => { if (event.persisted) { repeatChoice(); showChoice(); showBasket(); } });

function button(text, id, onClick) {
  const element = document.createElement("button");
  element.type = "button";
  element.id = id;
  element.textContent = text;
  element.addEventListener("click", onClick);
  return element;
}

let asking = false;
function showChoice() {
  const choice = rememberedChoice();
  byId("banner")?.remove();
  if (!choice || asking) {
    const banner = document.createElement("section");
    banner.id = "banner";
    banner.className = "banner";
    banner.setAttribute("aria-labelledby", "question");
    banner.innerHTML = `<h2 id="question">May we recognise you next time?</h2>
      <p>With a yes we see that you came back and what brought you here, and know it of you on your other devices where you sign in. With a no we do not. The shop is the same either way.</p>`;
    const answers = document.createElement("div");
    answers.className = "answers";
    const answer = (purposes) => () => {
      asking = false;
      choose(purposes);
    };
    answers.append(button("No, thank you", "refuse", answer([])), button("Yes, that is fine", "accept", answer(["analytics", "profile"])));
    banner.append(answers);
    document.body.append(banner);
  }

  const links = document.createElement("ul");
  const add = (element) => {
    const item = document.createElement("li");
    item.append(element);
    links.append(item);
  };
  if (choice?.optedOut) {
    add("You are not counted here at all.");
    add(button("Take that back", "opt-in", () => {
      localStorage.removeItem("shop-choice");
      snippet("optIn");
      showChoice();
    }));
  } else {
    if (choice) {
      add(choice.purposes.length ? "You said yes to being recognised." : "You said no to being recognised.");
      add(button("Change my mind", "change-mind", () => {
        asking = true;
        showChoice();
      }));
    }
    add(button("Do not count me at all", "opt-out", () => {
      asking = false;
      store("shop-choice", { optedOut: true });
      snippet("optOut");
      showChoice();
    }));
  }
  document.querySelector("#choices").replaceChildren(links);
}

/* The account: the shop's backend signs that this browser is the customer's, which it can once the browser has our cookie */

const NAMES = { ada: "Ada", ben: "Ben" };
const SIGN_TRIES = 10; // the answer to the yes brings the cookie, a moment after the click
const SIGN_EVERY_MS = 300;
const SIGN_AHEAD_SECONDS = 60;

const account = () => stored("shop-account");
const holds = (signed) => signed?.signature && signed.expires > Date.now() / 1000 + SIGN_AHEAD_SECONDS;

function identify() {
  const known = account();
  if (known) snippet("identify", known.account, known.signature, known.expires);
}

identify();

async function sign(customer) {
  const reply = await realFetch(`/account/${customer}.json`);
  return { customer, ...(await reply.json()) };
}

async function signIn(customer) {
  store("shop-account", await sign(customer));
  identify();
  snippet("event", "login");
  showAccount();
}

function signOut() {
  localStorage.removeItem("shop-account");
  location.reload(); // a page forgets who was signed in
}

/** A signature is of one browser's cookie, and another yes may have brought another cookie. */
async function signAgain() {
  const known = account();
  if (!known) return;
  const agreed = rememberedChoice()?.purposes?.length > 0;
  let signed = { customer: known.customer, account: known.account };
  for (let tries = 0; agreed && tries < SIGN_TRIES && !signed.signature; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, SIGN_EVERY_MS));
    signed = await sign(known.customer);
  }
  store("shop-account", signed);
  identify();
  if (signed.signature) snippet("event", "login");
  showAccount();
}

function showAccount() {
  const known = account();
  byId("account-link").textContent = known ? NAMES[known.customer] : "Account";
  if (!byId("signed-in")) return;
  byId("signed-in").hidden = !known;
  byId("signed-out").hidden = !!known;
  if (!known) return;
  byId("customer").textContent = NAMES[known.customer];
  byId("signed-note").textContent = holds(known)
    ? "The shop has signed that this browser is yours. What you do here belongs to your profile, on every device where you sign in and agree."
    : "You have not agreed to be recognised, so this browser has no cookie of ours, and there is nothing to sign: your profile learns nothing.";
}

/* The shelf: a product opens without a new page, as in a single-page shop */

function showShelf() {
  const product = PRODUCTS[location.pathname.split("/")[2]];
  byId("shelf").hidden = !!product;
  byId("detail").hidden = !product;
  document.title = product ? `${product.name} · Lathe & Kiln` : "Lathe & Kiln: tableware made in small numbers";
  if (!product) return;
  const name = location.pathname.split("/")[2];
  const picture = document.querySelector(`[data-product="${name}"] .picture`);
  byId("detail-picture").className = picture.className;
  byId("detail-picture").replaceChildren(picture.firstElementChild.cloneNode(true));
  byId("detail-name").textContent = product.name;
  byId("detail-text").textContent = product.text;
  byId("detail-price").textContent = `€${product.price}`;
  byId("detail-add").dataset.add = name;
  // After the route's own page view, which the snippet sends once the router is done.
  setTimeout(() => snippet("event", "view_item", { value: product.price, currency: "EUR", items: [item(name, 1)] }));
}

/* The basket: name → how many */

const SHIPPING = 4.9;
const SHIPPING_FREE_FROM = 60;
const TAX_RATE = 0.2; // prices include it
const EACH_MAX = 9;
const money = (amount) => `€${amount.toFixed(2).replace(/\.00$/, "")}`;
const cents = (amount) => Math.round(amount * 100) / 100;

function readBasket() {
  const kept = stored("shop-basket", {});
  return Object.fromEntries(Object.keys(PRODUCTS).map((name) => [name, Math.min(EACH_MAX, Number(kept[name]) || 0)]).filter(([, count]) => count > 0));
}

/** A product in GA4's words. */
const item = (name, quantity) => ({ item_id: `LK-${name}`, item_name: PRODUCTS[name].name, item_brand: "Lathe & Kiln", item_category: "Tableware", item_variant: PRODUCTS[name].colour, price: PRODUCTS[name].price, quantity });
const itemsOf = (basket) => Object.entries(basket).map(([name, quantity]) => item(name, quantity));
const valueOf = (basket) => cents(Object.entries(basket).reduce((sum, [name, count]) => sum + PRODUCTS[name].price * count, 0));
const shippingOf = (value) => (value >= SHIPPING_FREE_FROM ? 0 : SHIPPING);

function showBasket() {
  const basket = readBasket();
  const count = Object.values(basket).reduce((sum, each) => sum + each, 0);
  byId("basket-count").textContent = count || "";
  if (!byId("basket-full")) return;
  byId("basket-full").hidden = count === 0;
  byId("basket-empty").hidden = count > 0;
  showLines(basket);
}

function showLines(basket) {
  const list = document.querySelector("[data-lines]");
  list.replaceChildren(...Object.entries(basket).map(([name, count]) => line(name, count, "fixed" in list.dataset)));
  const value = valueOf(basket);
  const sums = [["Tableware", money(value)], ["Delivery", shippingOf(value) ? money(shippingOf(value)) : "free"], ["Together", money(value + shippingOf(value))]];
  document.querySelector("[data-sums]").replaceChildren(
    ...sums.flatMap(([what, sum]) => ["dt", "dd"].map((tag, index) => Object.assign(document.createElement(tag), { textContent: [what, sum][index] }))),
  );
}

function line(name, count, fixed) {
  const row = document.createElement("li");
  const text = (className, content) => Object.assign(document.createElement("span"), { className, textContent: content });
  if (fixed) {
    row.append(text("what", `${count} × ${PRODUCTS[name].name}`), text("sum", money(PRODUCTS[name].price * count)));
    return row;
  }
  const change = (sign, label, by) => {
    const control = button(sign, "", () => changeBasket(name, by));
    control.removeAttribute("id");
    control.setAttribute("aria-label", `${label} ${PRODUCTS[name].name}`);
    return control;
  };
  const many = document.createElement("span");
  many.className = "many";
  many.append(change("−", "One less:", -1), text("", count), change("+", "One more:", 1));
  row.append(text("what", PRODUCTS[name].name), many, text("sum", money(PRODUCTS[name].price * count)));
  return row;
}

function changeBasket(name, by) {
  const basket = readBasket();
  const count = Math.min(EACH_MAX, (basket[name] ?? 0) + by);
  store("shop-basket", { ...basket, [name]: count });
  // The site's policy allows quantity and colour; what else a page may say of an event is dropped on arrival, as this mood is.
  const properties = { value: PRODUCTS[name].price, currency: "EUR", items: [item(name, 1)], quantity: 1, colour: PRODUCTS[name].colour, mood: "good" };
  snippet("event", by > 0 ? "add_to_cart" : "remove_from_cart", properties);
  showBasket();
}

/** An event of the shop's own, which its policy names. */
function chooseFavourite(heart) {
  const chosen = heart.getAttribute("aria-pressed") !== "true";
  heart.setAttribute("aria-pressed", chosen);
  heart.textContent = chosen ? "♥" : "♡";
  if (chosen) snippet("event", "favourite_chosen", { colour: PRODUCTS[heart.dataset.favourite].colour });
}

/* Checkout: what the visitor writes into the form is given to nobody */

function placeOrder(event) {
  event.preventDefault();
  store("shop-order", { number: `LK-${Date.now().toString(36).toUpperCase()}`, basket: readBasket() });
  localStorage.removeItem("shop-basket");
  location.assign("/thank-you");
}

/** Tells of an order once: whoever loads the page again has not bought again. */
function showThanks() {
  const order = stored("shop-order");
  localStorage.removeItem("shop-order");
  byId("thanks").classList.toggle("done", !!order);
  if (!order) return;
  const { number, basket } = order;
  const value = valueOf(basket);
  const tax = cents(value - value / (1 + TAX_RATE));
  snippet("event", "purchase", { transaction_id: number, value, currency: "EUR", tax, shipping: shippingOf(value), items: itemsOf(basket) });
  byId("thanks-text").textContent = `Order ${number} is on its way (not really: this is a demonstration).`;
  showLines(basket);
}

document.addEventListener("DOMContentLoaded", () => {
  showChoice();
  showBasket();
  showAccount();
  if (account()?.signature && !holds(account())) signAgain();
  if (byId("shelf")) {
    showShelf();
    window.addEventListener("popstate", showShelf);
  }
  if (location.pathname === "/checkout") {
    byId("basket-full").addEventListener("submit", placeOrder);
    const basket = readBasket();
    if (Object.keys(basket).length) snippet("event", "begin_checkout", { value: valueOf(basket), currency: "EUR", items: itemsOf(basket) });
  }
  if (location.pathname === "/thank-you") showThanks();
  document.addEventListener("click", (event) => {
    const name = event.target.closest("[data-add]")?.dataset.add;
    if (name) return changeBasket(name, 1);
    const customer = event.target.closest("[data-sign-in]")?.dataset.signIn;
    if (customer) return signIn(customer);
    if (event.target.id === "sign-out") return signOut();
    const heart = event.target.closest("[data-favourite]");
    if (heart) return chooseFavourite(heart);
    const link = event.target.closest("main a[href^='/shop']");
    if (link && byId("shelf") && !event.metaKey && !event.ctrlKey && !event.shiftKey) {
      event.preventDefault();
      history.pushState({}, "", link.getAttribute("href"));
      showShelf();
    }
  });
});
