// The IAB's own consent tools, as scripts for a page: the stubs that a site puts first, and the tools that load later.
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { Segment, SegmentEncoder, TCModel } from "@iabtcf/core";
import { build } from "esbuild";

/** Puts `window.__tcfapi` there, which keeps calls until the tool has come. */
export const tcfStub = readFileSync(fileURLToPath(import.meta.resolve("@iabtcf/stub/lib/stub.js")), "utf8");

/** The same for `window.__gpp`, as the GPP's definition describes it: listeners are kept under "events", and told at once how things stand. */
export const gppStub = `(() => {
  const calls = [], events = [];
  window.__gpp = (command, callback, parameter) => {
    if (command === undefined) return calls;
    if (command === "events") return events;
    const pingData = { gppVersion: "1.1", cmpStatus: "stub", signalStatus: "not ready", gppString: "", parsedSections: {}, applicableSections: [] };
    if (command === "ping") callback(pingData, true);
    else if (command === "addEventListener") {
      events.push({ id: events.length + 1, callback, parameter });
      callback({ eventName: "listenerRegistered", listenerId: events.length, data: true, pingData }, true);
    } else calls.push([command, callback, parameter]);
  };
})();`;

const bundle = async (contents) =>
  (await build({ stdin: { contents, resolveDir: dirname(fileURLToPath(import.meta.url)) }, bundle: true, format: "iife", write: false })).outputFiles[0].text;

/** The tool itself: `tcf.update(string, whether it asks)`, with null where GDPR does not apply. */
export const tcfTool = await bundle(`import { CmpApi } from "@iabtcf/cmpapi"; window.tcf = new CmpApi(10, 1, true);`);
/** The tool itself: `gpp.setFieldValue(section, field, value)`, `gpp.setSignalStatus(status)`. */
export const gppTool = await bundle(`import { CmpApi } from "@iabgpp/cmpapi"; window.gpp = new CmpApi(10, 1);`);

/** A TC string with consent to these purposes of the framework. */
export function tcString(...purposes) {
  const model = new TCModel();
  model.cmpId = 10;
  model.cmpVersion = 1;
  model.consentLanguage = "EN";
  model.vendorListVersion = 100;
  model.policyVersion = 5;
  model.isServiceSpecific = true;
  model.publisherCountryCode = "FR";
  model.purposeConsents.set(purposes);
  return SegmentEncoder.encode(model, Segment.CORE);
}
