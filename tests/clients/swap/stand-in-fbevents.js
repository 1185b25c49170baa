// Stands in for Meta's fbevents.js, which is in no package registry: takes `fbq` and asks for the image that Meta's pixel asks for, in the form that its `<noscript>` documents
// (https://developers.facebook.com/docs/meta-pixel/get-started).
(() => {
  const ids = [];
  const send = (event, said = {}) =>
    ids.forEach((id) => {
      const query = new URLSearchParams({ id, ev: event, dl: location.href, rl: document.referrer, ts: Date.now() });
      for (const [name, value] of Object.entries(said)) query.set(`cd[${name}]`, value);
      new Image().src = `https://www.facebook.com/tr/?${query}`;
    });
  const commands = { init: (id) => ids.push(id), track: send, trackCustom: send };
  const { fbq } = window;
  fbq.callMethod = (name, ...said) => commands[name]?.(...said);
  fbq.queue.splice(0).forEach((said) => fbq.callMethod(...said));
})();
