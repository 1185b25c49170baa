//! What a policy document says about crowds: checked, and compiled.

use super::{
    compile::{DocumentError, REASON_BYTES_MAX, fault},
    parse::PolicyDocument,
};
use crate::privacy::crowd::{
    rules::{CROWD_MAX, CROWD_MIN, CrowdRules},
    tuple::{STEPS, Step},
};

/// Finds what is wrong with them.
pub(super) fn check(policy: &PolicyDocument, errors: &mut Vec<DocumentError>) {
    let document = ("policy", policy.name.as_str());
    let reason = policy.crowd_reason.as_deref().unwrap_or_default();
    match policy.crowd {
        Some(1) if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX => {
            let wrong = "it asks for no crowd and has no reason, or a very long one";
            fault(errors, document, "crowd", wrong, "crowd_reason = \"why, for whoever asks in two years\"");
        }
        Some(1) | None => {}
        Some(visitors) if (CROWD_MIN..=CROWD_MAX).contains(&visitors) => {}
        Some(visitors) => {
            let wrong = format!("{visitors} visitors: a crowd is {CROWD_MIN} to {CROWD_MAX}, or 1 for none");
            fault(errors, document, "crowd", wrong, format!("crowd = {CROWD_MIN}"));
        }
    }
    let each_once = Step::ALL.iter().all(|step| policy.generalise.contains(step)) && policy.generalise.len() == STEPS;
    if !policy.generalise.is_empty() && !each_once {
        let all: Vec<_> = Step::ALL.iter().map(|step| format!("\"{}\"", step.name())).collect();
        fault(errors, document, "generalise", "each step stands in it once", format!("generalise = [{}]", all.join(", ")));
    }
}

/// What they come to.
pub(super) fn compile(policy: &PolicyDocument) -> CrowdRules {
    let default = CrowdRules::default();
    CrowdRules {
        visitors: policy.crowd.unwrap_or(default.visitors),
        reason: policy.crowd_reason.clone(),
        order: policy.generalise.as_slice().try_into().unwrap_or(default.order),
        consented: policy.crowd_consented,
    }
}
