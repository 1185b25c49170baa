(()=>{var n=({tag:o,happened:t})=>{let[e]=performance.getEntriesByType("navigation");(o.status==="404"||e?.responseStatus===404)&&t("not_found")},r=n;return r})()
