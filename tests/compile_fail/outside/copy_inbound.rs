//! Keeps a copy of a raw request, and writes it down.

use firsthand::protocol::inbound::Inbound;

fn keep(request: &Inbound) -> Inbound {
    eprintln!("{request:?}");
    request.clone()
}

fn main() {}
