// The shop's own script: shelf, basket, and the consent banner, which any site has. It remembers the visitor's choice, as a site's banner does,
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
}

{
  const choice = rememberedChoice();
  if (choice?.purposes) snippet("consent", choice.purposes, Math.round((choice.ends - Date.now()) / 1000));
}

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
      <p>With a yes we see that you came back and what brought you here. With a no we do not. The shop is the same either way.</p>`;
    const answers = document.createElement("div");
    answers.className = "answers";
    const answer = (purposes) => () => {
      asking = false;
      choose(purposes);
    };
    answers.append(button("No, thank you", "refuse", answer([])), button("Yes, that is fine", "accept", answer(["analytics"])));
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
  document.querySelector(".foot").replaceChildren(links);
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
}

function showBasket() {
  const basket = stored("shop-basket", []);
  byId("basket-count").textContent = basket.length || "";
  if (!byId("basket-lines")) return;
  const total = basket.reduce((sum, name) => sum + PRODUCTS[name].price, 0);
  byId("basket-lines").replaceChildren(
    ...basket.map((name) => {
      const line = document.createElement("li");
      const price = document.createElement("span");
      price.textContent = `€${PRODUCTS[name].price}`;
      line.append(PRODUCTS[name].name, price);
      return line;
    }),
  );
  byId("basket-empty").hidden = basket.length > 0 || !byId("thanks").hidden;
  byId("basket-total").hidden = byId("buy").hidden = basket.length === 0;
  byId("basket-total").textContent = `Together €${total}`;
}

function addToBasket(name) {
  store("shop-basket", [...stored("shop-basket", []), name].filter((one) => one in PRODUCTS).slice(-20));
  // The site's policy allows quantity and colour; what else a page may say of an event is dropped on arrival, as this item is.
  snippet("event", "add_to_cart", { value: PRODUCTS[name].price, currency: "EUR", quantity: 1, colour: PRODUCTS[name].colour, item: name });
  showBasket();
}

/** An event of the shop's own, which its policy names. */
function chooseFavourite(heart) {
  const chosen = heart.getAttribute("aria-pressed") !== "true";
  heart.setAttribute("aria-pressed", chosen);
  heart.textContent = chosen ? "♥" : "♡";
  if (chosen) snippet("event", "favourite_chosen", { colour: PRODUCTS[heart.dataset.favourite].colour });
}

function buy() {
  const basket = stored("shop-basket", []);
  const value = basket.reduce((sum, name) => sum + PRODUCTS[name].price, 0);
  const order = `LK-${Date.now().toString(36).toUpperCase()}`;
  snippet("event", "purchase", { transaction_id: order, value, currency: "EUR" });
  store("shop-basket", []);
  byId("thanks").hidden = false;
  byId("thanks").textContent = `Thank you. Order ${order} is on its way (not really: this is a demonstration).`;
  showBasket();
}

document.addEventListener("DOMContentLoaded", () => {
  showChoice();
  showBasket();
  if (byId("shelf")) {
    showShelf();
    window.addEventListener("popstate", showShelf);
  }
  byId("buy")?.addEventListener("click", buy);
  document.addEventListener("click", (event) => {
    const name = event.target.closest("[data-add]")?.dataset.add;
    if (name) return addToBasket(name);
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
