// Stands in for Google's gtag.js, which is in no package registry: takes `dataLayer` and sends what Google's tag sends for it, in the form that its hits are known to
// have (tests/golden/protocol/ga4 holds such hits). One hit an event.
(() => {
  const letters = { item_id: "id", item_name: "nm", item_brand: "br", item_category: "ca", item_variant: "va", price: "pr", quantity: "qt" };
  const page = String(Math.floor(Math.random() * 1e9));
  const granted = {};
  let key, number = 0;
  const signal = (name) => (granted[name] === "granted" ? 1 : 0);
  const send = (name, said = {}) => {
    const hit = new URLSearchParams({ v: 2, tid: key, _p: page, cid: "1.2", ul: navigator.language, sr: `${screen.width}x${screen.height}`, _s: (number += 1), dl: location.href, dr: document.referrer, dt: document.title, en: name });
    hit.set("gcs", `G1${signal("ad_storage")}${signal("analytics_storage")}`);
    for (const [name, value] of Object.entries(said)) {
      if (name === "items") value.forEach((item, at) => hit.set(`pr${at + 1}`, Object.entries(item).map(([field, is]) => letters[field] + is).join("~")));
      else if (name === "currency") hit.set("cu", value);
      else hit.set(typeof value === "number" ? `epn.${name}` : `ep.${name}`, value);
    }
    fetch(`${window.collector}/g/collect?${hit}`, { method: "POST", keepalive: true });
  };
  const commands = {
    consent: (kind, state) => Object.assign(granted, state),
    config: (id) => { key = id; send("page_view"); },
    event: send,
    js() {},
  };
  const read = (entry) => commands[entry[0]]?.(...[...entry].slice(1));
  window.dataLayer.forEach(read);
  window.dataLayer.push = read;
})();
