// Writes consent strings to standard output, a JSON object per line: kind, text, whether it is sound, and what the IAB's own library reads
// in it (null where it throws). Strings are made by that library, or are its strings, broken. The same seed gives the same lines.
// Usage: node strings.mjs SEED COUNT; COUNT sound and COUNT broken strings of each kind.
import { GppModel, RangeEntry, Sections } from "@iabgpp/cmpapi";
import { PurposeRestriction, Segment, SegmentEncoder, TCModel, TCString } from "@iabtcf/core";

const [seed, count] = process.argv.slice(2).map(Number);

// --- chance, the same for the same seed ----------------------------------------------------------------------------------------------

let state = seed >>> 0;
/** A number below `bound`: mulberry32. */
const below = (bound) => {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
  return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
};
const chance = (percent) => below(100) < percent;
const pick = (list) => list[below(list.length)];
const times = (number, make) => Array.from({ length: number }, (_, at) => make(at));
const shuffled = (list) => {
  const rest = [...list];
  return times(list.length, () => rest.splice(below(rest.length), 1)[0]);
};
const numbers = (upTo, percent) => times(upTo, (at) => at + 1).filter(() => chance(percent));
const capital = () => String.fromCharCode(65 + below(26));
const DAY = 86_400_000;
const day = () => new Date((15_000 + below(7_000)) * DAY);

/** Vendors: none, a few far apart, long runs, or many without order, so that both encodings come. */
const vendors = () => {
  switch (below(4)) {
    case 0:
      return [];
    case 1:
      return [...new Set(times(1 + below(6), () => 1 + below(chance(10) ? 65_535 : 1_500)))].sort((a, b) => a - b);
    case 2: {
      const first = 1 + below(400);
      return times(1 + below(300), (at) => first + at).filter(() => chance(98));
    }
    default:
      return numbers(1 + below(chance(5) ? 1_200 : 200), 50);
  }
};

// --- TC strings -----------------------------------------------------------------------------------------------------------------------

/** In place of the global vendor list: none of its numbers is free. */
const ALL_VENDORS = new Set(times(65_535, (at) => at + 1));

const soundTcf = () => {
  const model = new TCModel();
  model.created = day();
  model.lastUpdated = day();
  model.cmpId = 2 + below(4_094);
  model.cmpVersion = below(4_096);
  model.consentScreen = below(64);
  model.consentLanguage = capital() + capital();
  model.vendorListVersion = below(4_096);
  model.policyVersion = chance(80) ? 4 + below(2) : below(64);
  model.isServiceSpecific = chance(80);
  model.useNonStandardStacks = chance(20);
  model.specialFeatureOptins.set(numbers(12, 30));
  model.purposeConsents.set(numbers(chance(80) ? 11 : 24, pick([20, 60, 100])));
  model.purposeLegitimateInterests.set(numbers(24, 30));
  model.purposeOneTreatment = chance(20);
  model.publisherCountryCode = capital() + capital();
  model.vendorConsents.set(vendors());
  model.vendorLegitimateInterests.set(vendors());
  if (chance(50)) {
    times(1 + below(6), () => new PurposeRestriction(1 + below(24), below(3))).forEach((restriction) => {
      (chance(50) ? numbers(40, 40) : vendors().slice(0, 50)).forEach((vendor) => model.publisherRestrictions.add(vendor, restriction));
    });
  }
  model.publisherRestrictions.gvl = { vendorIds: ALL_VENDORS };
  model.vendorsDisclosed.set(vendors());
  model.vendorsAllowed.set(vendors());
  model.publisherConsents.set(numbers(24, 30));
  model.publisherLegitimateInterests.set(numbers(24, 30));
  model.numCustomPurposes = below(9);
  model.publisherCustomConsents.set(numbers(model.numCustomPurposes, 50));
  model.publisherCustomLegitimateInterests.set(numbers(model.numCustomPurposes, 50));
  const more = [];
  if (chance(60)) more.push(Segment.VENDORS_DISCLOSED);
  if (chance(10)) more.push(Segment.VENDORS_ALLOWED);
  if (chance(50)) more.push(Segment.PUBLISHER_TC);
  return [Segment.CORE, ...shuffled(more)].map((segment) => SegmentEncoder.encode(model, segment)).join(".");
};

const discloses = (text) => text.split(".").some((segment) => /^[I-P]/.test(segment));
const members = (vector) => [...vector.values()].sort((a, b) => a - b);

const readTcf = (text) => {
  const model = TCString.decode(text);
  const restrictions = model.publisherRestrictions.getRestrictions().map((one) => ({
    purpose: one.purposeId,
    kind: one.restrictionType,
    vendors: model.publisherRestrictions.getVendors(one),
  }));
  return {
    version: model.version,
    created: model.created.getTime(),
    last_updated: model.lastUpdated.getTime(),
    cmp_id: model.cmpId,
    cmp_version: model.cmpVersion,
    consent_screen: model.consentScreen,
    consent_language: model.consentLanguage,
    vendor_list_version: model.vendorListVersion,
    policy_version: model.policyVersion,
    service_specific: model.isServiceSpecific,
    non_standard_texts: model.useNonStandardStacks,
    special_features: members(model.specialFeatureOptins),
    purpose_consents: members(model.purposeConsents),
    purpose_legitimate_interests: members(model.purposeLegitimateInterests),
    purpose_one_treatment: model.purposeOneTreatment,
    publisher_country: model.publisherCountryCode,
    vendor_consents: members(model.vendorConsents),
    vendor_legitimate_interests: members(model.vendorLegitimateInterests),
    restrictions,
    vendors_disclosed: discloses(text) ? members(model.vendorsDisclosed) : null,
  };
};

// --- GPP strings ----------------------------------------------------------------------------------------------------------------------

const TCF_CANADA = 5;
const sections = [...Sections.SECTION_ID_NAME_MAP].filter(([id]) => id !== TCF_CANADA).map(([, name]) => name);

const fillTcf = (model) => {
  const bits = (length, percent) => times(length, () => chance(percent));
  const set = (field, value) => model.setFieldValue("tcfeuv2", field, value);
  set("CmpId", 2 + below(4_094));
  set("CmpVersion", below(4_096));
  set("ConsentScreen", below(64));
  set("ConsentLanguage", capital() + capital());
  set("VendorListVersion", below(4_096));
  set("PolicyVersion", 4 + below(2));
  set("UseNonStandardStacks", chance(20));
  set("SpecialFeatureOptins", bits(12, 30));
  set("PurposeConsents", bits(24, pick([20, 60, 100])));
  set("PurposeLegitimateInterests", bits(24, 30));
  set("PurposeOneTreatment", chance(20));
  set("PublisherCountryCode", capital() + capital());
  set("VendorConsents", vendors());
  set("VendorLegitimateInterests", vendors());
  set("PublisherRestrictions", times(below(4), () => new RangeEntry(1 + below(24), below(3), numbers(30, 40))));
  set("VendorsDisclosed", vendors());
  // Last, since every change sets it to today.
  set("Created", day());
};

const soundGpp = () => {
  const model = new GppModel();
  const chosen = shuffled(sections).slice(0, 1 + below(4));
  for (const name of chosen) {
    if (name === "tcfeuv2") {
      fillTcf(model);
    } else if (name === "uspv1") {
      for (const field of ["Notice", "OptOutSale", "LspaCovered"]) model.setFieldValue(name, field, pick(["Y", "N", "-"]));
    } else {
      fillUs(model, name);
    }
  }
  return model.encode();
};

const fillUs = (model, name) => {
  // A field makes the section; then it can say what fields it has.
  model.setFieldValue(name, "SaleOptOut", 0);
  const opted = pick([0, 0, 20]);
  const answer = () => (chance(opted) ? 1 : pick([0, 2]));
  if (name === "usnat" && chance(50)) model.setFieldValue(name, "Version", 1);
  for (const [field, value] of Object.entries(model.getSection(name))) {
    if (/Version$|^GpcSegment/.test(field)) continue;
    if (field === "Gpc") model.setFieldValue(name, field, chance(20));
    else if (field === "MspaCoveredTransaction") model.setFieldValue(name, field, 1 + below(2));
    else model.setFieldValue(name, field, Array.isArray(value) ? value.map(answer) : answer());
  }
  if (model.hasField(name, "GpcSegmentIncluded") || "Gpc" in model.getSection(name)) {
    model.setFieldValue(name, "GpcSegmentIncluded", chance(70));
  }
};

const ofBits = (bits) => bits.flatMap((bit, at) => (bit ? [at + 1] : []));

const readGpp = (text) => {
  const model = new GppModel(text);
  const read = {};
  for (const [name, fields] of Object.entries(model.toObject())) {
    read[name] = name === "tcfeuv2" ? tcfOfGpp(fields, text.split("~")[1]) : fields;
  }
  return read;
};

const tcfOfGpp = (fields, text) => ({
  version: fields.Version,
  created: fields.Created.getTime(),
  last_updated: fields.LastUpdated.getTime(),
  cmp_id: fields.CmpId,
  cmp_version: fields.CmpVersion,
  consent_screen: fields.ConsentScreen,
  consent_language: fields.ConsentLanguage,
  vendor_list_version: fields.VendorListVersion,
  policy_version: fields.PolicyVersion,
  service_specific: fields.IsServiceSpecific,
  non_standard_texts: fields.UseNonStandardStacks,
  special_features: ofBits(fields.SpecialFeatureOptins),
  purpose_consents: ofBits(fields.PurposeConsents),
  purpose_legitimate_interests: ofBits(fields.PurposeLegitimateInterests),
  purpose_one_treatment: fields.PurposeOneTreatment,
  publisher_country: fields.PublisherCountryCode,
  vendor_consents: fields.VendorConsents,
  vendor_legitimate_interests: fields.VendorLegitimateInterests,
  restrictions: fields.PublisherRestrictions.map((one) => ({ purpose: one.getKey(), kind: one.getType(), vendors: one.getIds() })),
  vendors_disclosed: discloses(text) ? fields.VendorsDisclosed : null,
});

// --- US Privacy strings ---------------------------------------------------------------------------------------------------------------

const soundUsp = () => `1${times(3, () => pick(["Y", "N", "-"])).join("")}`;
/** The library knows them as a section alone: that of the header `DBABTA`. */
const readUsp = (text) => readGpp(`DBABTA~${text}`).uspv1;

// --- breaking -------------------------------------------------------------------------------------------------------------------------

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const flipped = (text) => {
  const at = below(text.length);
  const digit = ALPHABET.indexOf(text[at]);
  const other = digit < 0 ? pick(ALPHABET) : ALPHABET[digit ^ (1 << below(6))];
  return text.slice(0, at) + other + text.slice(at + 1);
};
const WAYS = [
  (text) => text.slice(0, below(text.length)),
  (text) => text.slice(1 + below(text.length)),
  flipped,
  flipped,
  (text) => flipped(flipped(text)),
  // Another version: the first six bits of a TC string, the second six of a GPP header, the first character of `1YNN`.
  (text) => pick(ALPHABET) + text.slice(1),
  (text) => text[0] + pick(ALPHABET) + text.slice(2),
  (text) => text.replace(/~[A-Z]/, () => `~${pick(ALPHABET)}`),
  (text) => times(below(400), () => pick(`${ALPHABET}.~+/= ü\n`)).join(""),
  (text) => text[0] + text[1] + times(below(200), () => pick(ALPHABET)).join(""),
  (text) => text + times(9_000, () => pick(ALPHABET)).join(""),
  (text) => text + pick(["A", "AA", "AAAA", ".", "~", ".A", "~A", ".QA", ".YA", ".IAAAAA", "=", " ", "\u0000", "~BAAAAAA"]),
  (text) => shuffled(text.split(/(?=[.~])/)).join(""),
  (text) => text.slice(0, 4) + text.slice(5),
  (text) => text.toLowerCase(),
];

const write = (kind, sound, text, read) => {
  let decoded = null;
  try {
    decoded = read(text);
  } catch {
    // That it throws is what is told.
  }
  process.stdout.write(`${JSON.stringify({ kind, sound, text, decoded })}\n`);
};

for (const [kind, make, read] of [
  ["tcf", soundTcf, readTcf],
  ["gpp", soundGpp, readGpp],
  ["usp", soundUsp, readUsp],
]) {
  for (let at = 0; at < count; at++) write(kind, true, make(), read);
  for (let at = 0; at < count; at++) {
    const whole = make();
    let broken = WAYS[at % WAYS.length](whole);
    // What is the same again would be no broken string.
    while (broken === whole) broken = flipped(whole);
    write(kind, false, broken, read);
  }
}
