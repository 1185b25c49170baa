// Stands in for Matomo's matomo.js, which is in no package registry: takes `_paq` and sends what Matomo's tracking API documents for each call
// (https://developer.matomo.org/api-reference/tracking-api).
(() => {
  const settings = {}, cart = {};
  const page = () => Math.random().toString(36).slice(2, 8);
  let view = page(), title = document.title, product = {};
  const send = (said) => {
    const hit = new URLSearchParams({ idsite: settings.site, rec: 1, url: location.href, urlref: document.referrer, action_name: title, rand: Math.floor(Math.random() * 1e6), pv_id: view, _id: "0123456789abcdef", res: `${screen.width}x${screen.height}`, send_image: 0, ...said });
    fetch(settings.tracker, { method: "POST", body: hit, keepalive: true });
  };
  const products = () => JSON.stringify(Object.values(cart));
  const commands = {
    setTrackerUrl: (address) => { settings.tracker = address; },
    setSiteId: (id) => { settings.site = id; },
    requireConsent() {}, setConsentGiven() {}, // asked for before the script, agreed to on record
    trackPageView: (named) => { title = named ?? document.title; view = page(); send(product); product = {}; },
    trackEvent: (category, action, name, value) => send({ e_c: category, e_a: action, e_n: name, e_v: value, ca: 1 }),
    trackSiteSearch: (word, category, count) => send({ search: word, search_cat: category, search_count: count }),
    trackGoal: (goal, revenue) => send({ idgoal: goal, revenue }),
    setEcommerceView: (sku, name, category, price) => { product = { _pks: sku, _pkn: name, _pkc: category, _pkp: price }; },
    addEcommerceItem: (...item) => { cart[item[0]] = item; },
    trackEcommerceCartUpdate: (revenue) => send({ idgoal: 0, revenue, ec_items: products() }),
    trackEcommerceOrder: (id, revenue, sub, tax, shipping) => send({ idgoal: 0, ec_id: id, revenue, ec_st: sub, ec_tx: tax, ec_sh: shipping, ec_items: products() }),
    enableLinkTracking: () =>
      addEventListener("click", ({ target: link }) => {
        if (/\.pdf$/i.test(link.pathname)) send({ download: link.href });
        else if (link.hostname !== location.hostname) send({ link: link.href });
      }, true),
  };
  const read = ([name, ...said]) => commands[name](...said);
  // Where it sends is known first, wherever it stands.
  const first = (call) => /^set(TrackerUrl|SiteId)$/.test(call[0]);
  window._paq.filter(first).concat(window._paq.filter((call) => !first(call))).forEach(read);
  window._paq.push = (...calls) => calls.forEach(read);
})();
