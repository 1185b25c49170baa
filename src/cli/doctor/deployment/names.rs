//! Where a name leads to, asked of a name server itself (RFC 1035): the system's own lookup does not say by which other names (CNAME) it went, and those are
//! what browsers look through.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::Path,
    time::Duration,
};

/// A name server nearby answers in milliseconds; one that has to ask others, within this.
const PATIENCE: Duration = Duration::from_secs(3);
/// Datagrams get lost.
const ATTEMPTS: usize = 2;
/// What an answer may be without an extension that is not asked for (RFC 1035 §4.2.1), and some room.
const ANSWER_BYTES_MAX: usize = 1232;
/// Other names on the way that are followed, and pointers within one name.
const STEPS_MAX: usize = 16;
/// A name as it is written.
const NAME_BYTES_MAX: usize = 255;

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const INTERNET: u16 = 1;

/// Where a name leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lead {
    /// The last other name on the way, where there is one.
    pub(super) other_name: Option<String>,
    /// The addresses at the end.
    pub(super) addresses: Vec<IpAddr>,
}

/// This machine's first name server.
pub(super) fn name_server() -> Option<SocketAddr> {
    let text = std::fs::read_to_string(Path::new("/etc/resolv.conf")).ok()?;
    let server = text.lines().find_map(|line| line.strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok())?;
    Some(SocketAddr::new(server, 53))
}

/// Asks for both kinds of addresses; nothing where the server does not answer.
pub(super) fn lead(server: SocketAddr, host: &str) -> Option<Lead> {
    let mut lead = Lead::default();
    for kind in [A, AAAA] {
        let answer = ask(server, host, kind)?;
        let found = read(&answer, host)?;
        lead.addresses.extend(found.addresses);
        lead.other_name = lead.other_name.or(found.other_name);
    }
    Some(lead)
}

fn ask(server: SocketAddr, host: &str, kind: u16) -> Option<Vec<u8>> {
    let here: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((here, 0)).ok()?;
    socket.connect(server).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    let id = u16::try_from(getrandom::u32().ok()? & 0xffff).ok()?;
    let question = question(id, host, kind)?;
    let mut answer = vec![0; ANSWER_BYTES_MAX];
    for _ in 0..ATTEMPTS {
        socket.send(&question).ok()?;
        // What answers another question is from a question before.
        while let Ok(length) = socket.recv(&mut answer) {
            if length >= 12 && answer[..2] == id.to_be_bytes() {
                answer.truncate(length);
                return Some(answer);
            }
        }
    }
    None
}

/// A question; nothing where the host is no name.
fn question(id: u16, host: &str, kind: u16) -> Option<Vec<u8>> {
    // Recursion desired; one question.
    let mut bytes = [id, 0x0100, 1, 0, 0, 0].into_iter().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
    if host.len() > NAME_BYTES_MAX {
        return None;
    }
    for label in host.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        bytes.push(length);
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes.extend([kind, INTERNET].into_iter().flat_map(u16::to_be_bytes));
    Some(bytes)
}

/// What an answer says of a host; nothing where it is none that can be read, or the server could not answer.
fn read(answer: &[u8], host: &str) -> Option<Lead> {
    let code = answer.get(3)? & 0x0f;
    // 0: here it is. 3: there is no such name.
    if code != 0 && code != 3 {
        return None;
    }
    let number = |at: usize| Some(u16::from_be_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    let (questions, answers) = (number(4)?, number(6)?);
    let mut at = 12;
    for _ in 0..questions {
        at = name(answer, at)?.1 + 4;
    }
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    for _ in 0..answers {
        let (owner, fixed) = name(answer, at)?;
        let (kind, length) = (number(fixed)?, usize::from(number(fixed + 8)?));
        let value = answer.get(fixed + 10..fixed + 10 + length)?;
        match kind {
            CNAME => names.push((owner, name(answer, fixed + 10)?.0)),
            A => addresses.push((owner, IpAddr::from(<[u8; 4]>::try_from(value).ok()?))),
            AAAA => addresses.push((owner, IpAddr::from(<[u8; 16]>::try_from(value).ok()?))),
            _ => {}
        }
        at = fixed + 10 + length;
    }
    let mut end = host.trim_end_matches('.').to_ascii_lowercase();
    let mut other_name = None;
    for _ in 0..STEPS_MAX {
        let Some((_, next)) = names.iter().find(|(owner, _)| *owner == end) else { break };
        end.clone_from(next);
        other_name = Some(end.clone());
    }
    let addresses = addresses.into_iter().filter(|(owner, _)| *owner == end).map(|(_, address)| address).collect();
    Some(Lead { other_name, addresses })
}

/// The name at a place, in small letters, and where what follows it begins.
fn name(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let (mut name, mut after, mut steps) = (String::new(), None, 0);
    loop {
        let length = usize::from(*bytes.get(at)?);
        if length >= 0xc0 {
            // The rest stands elsewhere.
            after = after.or(Some(at + 2));
            at = (length & 0x3f) << 8 | usize::from(*bytes.get(at + 1)?);
            steps += 1;
            if steps > STEPS_MAX {
                return None;
            }
            continue;
        }
        at += 1;
        if length == 0 {
            return Some((name, after.unwrap_or(at)));
        }
        let label = bytes.get(at..at + length)?;
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to `beacons.shop.example`: by another name, to an address; names are pointers where they have stood before.
    fn answer() -> Vec<u8> {
        let mut bytes = question(7, "beacons.shop.example", A).unwrap();
        bytes[2] |= 0x80;
        bytes[7] = 2;
        bytes.extend([
            0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 15, 4, b'e', b'd', b'g', b'e', 7, b't', b'r', b'a', b'c', b'k', b'e', b'R', 0xc0,
        ]);
        // It ends in "example" of the question's name.
        bytes.push(12 + 8 + 5);
        let length = bytes.len();
        let other = u8::try_from(length - 15).unwrap();
        bytes.extend([0xc0, other, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
        bytes
    }

    #[test]
    fn other_names_are_followed_to_the_addresses_at_their_end() {
        let found = read(&answer(), "Beacons.shop.example.").unwrap();
        assert_eq!(found, Lead { other_name: Some(String::from("edge.tracker.example")), addresses: vec!["192.0.2.7".parse().unwrap()] });
        assert_eq!(read(&answer(), "www.shop.example").unwrap(), Lead::default(), "what is said of other names does not count");
    }

    #[test]
    fn broken_answers_say_nothing() {
        let whole = answer();
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end], "beacons.shop.example"), None, "cut at {end}");
        }
        let mut refused = whole.clone();
        refused[3] = 5;
        assert_eq!(read(&refused, "beacons.shop.example"), None);
        let mut circle = question(7, "a", A).unwrap();
        circle.extend([0xc0, 15]);
        let at = circle.len() - 2;
        circle[at + 1] = u8::try_from(at).unwrap();
        assert_eq!(name(&circle, at), None, "a name that points to itself");
        assert!(question(7, "", A).is_none() && question(7, &"a".repeat(64), A).is_none());
    }
}
