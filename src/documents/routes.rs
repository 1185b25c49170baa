//! What a policy document says about the forms of the site's pages: checked.

use super::{
    compile::{DocumentError, fault},
    parse::PolicyDocument,
};
use crate::privacy::scrub::routes::{ROUTES_MAX, Routes};

/// Finds what is wrong with its routes.
pub(super) fn check(policy: &PolicyDocument, errors: &mut Vec<DocumentError>) {
    let document = ("policy", policy.name.as_str());
    if policy.routes.len() > ROUTES_MAX {
        let reason = format!("{} routes: {ROUTES_MAX} are compared with every page, and no more", policy.routes.len());
        return fault(errors, document, "routes", reason, "one route for several pages: \"/product/:slug\"");
    }
    if let Err((at, error)) = Routes::parse(&policy.routes) {
        let route = policy.routes.get(at).map(String::as_str).unwrap_or_default();
        fault(errors, document, "routes", format!("\"{route}\": {error}"), "routes = [\"/pricing\", \"/product/:slug\", \"/account/*\"]");
    }
}
