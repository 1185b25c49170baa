//! The stand-in for a NATS server: speaks as much of its protocol as the program's own carrier does, lets everybody in, has a stream for every
//! subject, and keeps the messages that come. <https://docs.nats.io/reference/reference-protocols/nats-protocol>

use std::io::{self, BufRead, Read as _, Write};

use serde::Deserialize;
use serde_json::json;

/// What it says of itself, and so the largest message that it is sent.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Of a line: who logs in by a signed token says it in one.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// What a client says of itself.
#[derive(Deserialize)]
struct Hello {
    user: Option<String>,
}

/// A message as it comes: of whom, to which subject, under which headers, and what it says.
pub struct Message<'m> {
    /// The name that its sender logged in by.
    pub sender: &'m str,
    /// Its subject.
    pub subject: &'m str,
    /// Lines of headers, each with its end.
    pub headers: &'m [u8],
    /// What it says.
    pub body: &'m [u8],
}

/// Answers one connection until it ends. `take` says whether a message is taken.
///
/// # Errors
/// When the connection breaks, or something else is spoken on it.
pub fn serve(from: &mut impl BufRead, to: &mut impl Write, mut take: impl FnMut(Message<'_>) -> bool) -> io::Result<()> {
    let info = json!({ "server_id": "PROVE", "version": "2.10.0", "proto": 1, "headers": true, "max_payload": MESSAGE_BYTES_MAX });
    write!(to, "INFO {info}\r\n")?;
    let (mut sender, mut subscription, mut kept) = (String::new(), String::new(), 0_u64);
    loop {
        let Some(line) = read_line(from)? else { return Ok(()) };
        let mut words = line.split_ascii_whitespace();
        match words.next().unwrap_or_default() {
            "CONNECT" => {
                let hello: Hello = serde_json::from_str(line["CONNECT".len()..].trim())?;
                sender = hello.user.unwrap_or_default();
            }
            "PING" => to.write_all(b"PONG\r\n")?,
            // Its one subscription is the one that answers come to.
            "SUB" => subscription = words.next_back().unwrap_or_default().to_owned(),
            "PONG" | "UNSUB" => {}
            verb @ ("PUB" | "HPUB") => {
                let mut words: Vec<&str> = words.collect();
                let mut length = || words.pop().and_then(|word| word.parse::<usize>().ok()).ok_or(io::ErrorKind::InvalidData);
                let whole = length()?;
                let head = if verb == "HPUB" { length()? } else { 0 };
                let &[subject, ref reply @ ..] = words.as_slice() else { return Err(io::ErrorKind::InvalidData.into()) };
                if whole > MESSAGE_BYTES_MAX || head > whole {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                let mut message = vec![0; whole];
                from.read_exact(&mut message)?;
                from.read_exact(&mut [0; 2])?;
                // Behind the line that says which version they are of.
                let headers = &message[..head];
                let headers = headers.iter().position(|byte| *byte == b'\n').map_or(&b""[..], |end| &headers[end + 1..]);
                let taken = take(Message { sender: &sender, subject, headers, body: &message[head..] });
                if let Some(reply) = reply.first() {
                    kept += 1;
                    let answer = if taken {
                        json!({ "stream": "PROVE", "seq": kept })
                    } else {
                        json!({ "error": { "code": 400, "err_code": 10003, "description": "bad request" } })
                    };
                    let answer = answer.to_string();
                    write!(to, "MSG {reply} {subscription} {}\r\n{answer}\r\n", answer.len())?;
                }
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        to.flush()?;
    }
}

/// A line without its end. `None`: the other side has said all.
fn read_line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    match from.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)? {
        0 => Ok(None),
        _ if line.ends_with('\n') => Ok(Some(line.trim_end().to_owned())),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(said: &str, takes: bool) -> (io::Result<()>, String, Vec<String>) {
        let (mut answer, mut taken) = (Vec::new(), Vec::new());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let result = serve(&mut said.as_bytes(), &mut answer, |message| {
            taken.push(format!("{} {} {} {}", message.sender, message.subject, text(message.headers).trim(), text(message.body)));
            takes
        });
        (result, text(&answer).split_once("\r\n").unwrap_or_default().1.to_owned(), taken)
    }

    #[test]
    fn a_message_is_kept_under_its_senders_name_and_answered() {
        let said = "CONNECT {\"user\":\"own\",\"pass\":\"x\"}\r\nPING\r\nSUB _INBOX.a.* 7\r\n\
                    HPUB f.shop.view _INBOX.a.1 28 30\r\nNATS/1.0\r\nNats-Msg-Id: 9\r\n\r\n{}\r\nPUB f.x 2\r\nhi\r\n";
        let (result, answer, taken) = spoken(said, true);
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(taken, ["own f.shop.view Nats-Msg-Id: 9 {}", "own f.x  hi"]);
        assert_eq!(answer, "PONG\r\nMSG _INBOX.a.1 7 26\r\n{\"seq\":1,\"stream\":\"PROVE\"}\r\n");
        assert!(spoken(said, false).1.contains("\"err_code\":10003"));
    }

    #[test]
    fn what_is_no_message_ends_the_connection() {
        for said in [
            "GET / HTTP/1.1\r\n",
            "PUB a 99999999\r\n",
            "HPUB a 9 3\r\nabc\r\n",
            "PUB a x\r\n",
            "PUB\r\n",
            "HPUB 1\r\n",
            "PUB 1\r\n",
            "PING",
        ] {
            assert!(spoken(said, true).0.is_err(), "{said}");
        }
    }
}
