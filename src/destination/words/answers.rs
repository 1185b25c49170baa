//! What an HTTP answer means by its status, for receivers that mean nothing special by one.

use bytes::Bytes;

use crate::destination::{Answer, Verdict};

/// The body of a 2xx; else what the answer means for each event. What speaks of the endpoint (gone, moved, does not know us) rejects no event.
///
/// # Errors
/// With the verdict, where the answer is no 2xx.
pub(in crate::destination) fn taken(answer: &Answer) -> Result<&Bytes, Verdict> {
    let (status, after, body) = match answer {
        Answer::Http { status, retry_after, body, noted: _ } => (*status, *retry_after, body),
        _ => return Err(Verdict::Retry { after: None }),
    };
    Err(match status {
        200..=299 => return Ok(body),
        300..=399 => Verdict::EndpointRefuses { reason: "it redirects, and redirects are not followed: check the url" },
        401 | 403 | 407 => Verdict::EndpointRefuses { reason: "it does not accept us: check the key or token" },
        404 | 405 | 410 => Verdict::EndpointRefuses { reason: "nothing takes events at this url" },
        408 | 425 | 429 => Verdict::Retry { after },
        400..=499 => Verdict::Rejected { reason: "the receiver refuses the request" },
        _ => Verdict::Retry { after },
    })
}
