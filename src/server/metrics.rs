//! What the server counts. Numbers only; the labels are constants.

use http::StatusCode;

use crate::metrics::{Counter, Exposition, Gauge};

/// Counters and gauges of connections and requests.
#[derive(Default)]
pub struct ServerMetrics {
    /// Connections that are open now.
    pub connections_open: Gauge,
    /// Connections accepted.
    pub connections: Counter,
    /// How often the accept loop found every connection permit taken and let clients wait.
    pub connections_at_limit: Counter,
    /// How often the kernel refused to hand a connection over.
    pub accept_errors: Counter,
    /// Connections that were closed because the client took too long to say something, or had nothing more to say.
    pub connections_timed_out: Counter,
    /// TLS handshakes that failed or took too long.
    pub handshake_failures: Counter,
    /// Requests answered, by the first digit of the status: 1xx to 5xx.
    pub requests: [Counter; 5],
}

impl ServerMetrics {
    pub(super) fn answered(&self, status: StatusCode) {
        if let Some(counter) = self.requests.get(usize::from(status.as_u16() / 100).wrapping_sub(1)) {
            counter.add(1);
        }
    }

    /// Counts a connection, as open until the answer is dropped.
    pub(super) fn connection_opened(&self) -> impl Drop + use<'_> {
        struct Open<'a>(&'a Gauge);
        impl Drop for Open<'_> {
            fn drop(&mut self) {
                self.0.subtract(1);
            }
        }
        self.connections.add(1);
        self.connections_open.add(1);
        Open(&self.connections_open)
    }

    /// Writes all of them.
    pub fn write(&self, text: &mut Exposition) {
        const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let open = self.connections_open.value();
        text.sample("firsthand_connections_open", "gauge", "Connections that are open now.", &[], open);
        let counters = [
            ("firsthand_connections_total", "Connections accepted.", &self.connections),
            ("firsthand_connections_at_limit_total", "Times that clients had to wait for a connection permit.", &self.connections_at_limit),
            ("firsthand_accept_errors_total", "Times that the kernel refused to hand a connection over.", &self.accept_errors),
            ("firsthand_connections_timed_out_total", "Connections closed because nothing came in time.", &self.connections_timed_out),
            ("firsthand_tls_handshake_failures_total", "TLS handshakes that failed or took too long.", &self.handshake_failures),
        ];
        for (name, help, counter) in counters {
            text.sample(name, "counter", help, &[], counter.value());
        }
        for (class, counter) in CLASSES.iter().zip(&self.requests) {
            text.sample(
                "firsthand_requests_total",
                "counter",
                "Requests answered, by class of status.",
                &[("status", class)],
                counter.value(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_counts_in_its_class() {
        let metrics = ServerMetrics::default();
        metrics.answered(StatusCode::NO_CONTENT);
        metrics.answered(StatusCode::NOT_FOUND);
        metrics.answered(StatusCode::IM_A_TEAPOT);
        let mut text = Exposition::default();
        metrics.write(&mut text);
        let text = text.into_text();
        assert!(text.contains("firsthand_requests_total{status=\"2xx\"} 1\n"));
        assert!(text.contains("firsthand_requests_total{status=\"4xx\"} 2\n"));
    }
}
