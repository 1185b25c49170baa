// The vendor calls that are known and not covered. When a page makes one, its number in this list is counted and told; never what it was called with. Whatever is in no
// list counts as its shim's last one. src/event/shim.rs has the same lists, and docs/shims.md says them to people; tests hold the three together.
export const UNCOVERED = {
  gtag: ["get", "set user_properties", "set user_data", "universal ecommerce", "twin", "other"],
  matomo: ["setCustomDimension", "setCustomVariable", "setVisitorCookieTimeout", "rememberConsentGiven", "trackContentImpressionsWithinNode", "trackAllContentImpressions", "trackVisibleContentImpressions", "enableCrossDomainLinking", "addTracker", "setCampaignNameKey", "getVisitorId", "twin", "other"],
  meta: ["init with user data", "setUserProperties", "trackShopify", "twin", "other"],
  plausible: ["init transformRequest", "twin", "other"],
  umami: ["identify data", "twin", "other"],
  segment: ["traits", "group", "addSourceMiddleware", "addDestinationMiddleware", "setAnonymousId", "user", "on", "twin", "other"],
  posthog: ["person properties", "group", "feature flags", "surveys", "session recording", "captureException", "get_distinct_id", "twin", "other"],
  mixpanel: ["people", "group", "time_event", "get_distinct_id", "session recording", "twin", "other"],
};
export type Shim = keyof typeof UNCOVERED;
