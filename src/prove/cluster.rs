//! The stand-in for a Kafka cluster: speaks as much of its protocol as the program's own carrier does, lets everybody in, has every topic, of
//! one partition, and keeps the records that come.

use std::io::{self, Read, Write};

use crate::destination::kafka::wire::{self, Api, Frame, Said};

/// No parcel of any destination is longer.
const MESSAGE_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// What it says of a batch that is not taken: the topic refuses it.
const INVALID_RECORD: i16 = 87;
/// Its number among the brokers, of which there is one.
const NUMBER: i32 = 1;

/// Whether a connection that begins so is one of Kafka's: behind the length there is one of the questions that the carrier begins with, where a
/// PostgreSQL's client has its version, or asks for TLS.
#[must_use]
pub fn is_spoken(beginning: &[u8]) -> bool {
    beginning.first() == Some(&0) && beginning.get(4..8).is_some_and(|asked| matches!(asked, [0, 3, 0, 4] | [0, 17, 0, 1]))
}

/// Answers one connection until it ends; the cluster is at this port of loopback. `take` hears the topic and the
/// records of a partition, and says whether they are taken.
///
/// # Errors
/// When the connection breaks, or something else is spoken on it.
pub fn serve(from: &mut impl Read, to: &mut impl Write, port: u16, mut take: impl FnMut(&str, &[Said<'_>]) -> bool) -> io::Result<()> {
    let wrong = |_| io::Error::from(io::ErrorKind::InvalidData);
    loop {
        let mut length = [0; 4];
        match from.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let length = u32::from_be_bytes(length);
        if length > MESSAGE_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut question = vec![0; length as usize];
        from.read_exact(&mut question)?;
        let (api, number, mut rest) = wire::read_request(&question).map_err(wrong)?;
        let mut answer = Frame::begin();
        answer.int32(number);
        match api {
            Api::Metadata => {
                rest.only(1..=1).map_err(wrong)?;
                say_metadata(&mut answer, rest.text().map_err(wrong)?, port);
            }
            Api::Produce => {
                let (topic, partitions) = wire::read_produce(&mut rest).map_err(wrong)?;
                answer.int32(1);
                answer.text(topic);
                answer.length(partitions.len());
                for (partition, records) in partitions {
                    let taken = take(topic, &records);
                    answer.int32(partition);
                    answer.int16(if taken { 0 } else { INVALID_RECORD });
                    answer.int64(0);
                    answer.int64(-1);
                }
                answer.int32(0);
            }
            Api::Handshake => {
                answer.int16(0);
                answer.int32(0);
            }
            Api::Authenticate => {
                answer.int16(0);
                answer.nothing();
                answer.bytes(b"");
            }
        }
        to.write_all(&answer.done())?;
    }
}

/// One broker, which leads the topic's one partition.
fn say_metadata(answer: &mut Frame, topic: &str, port: u16) {
    answer.int32(0);
    answer.int32(1);
    answer.int32(NUMBER);
    answer.text("127.0.0.1");
    answer.int32(i32::from(port));
    answer.nothing();
    answer.nothing();
    answer.int32(NUMBER);
    answer.int32(1);
    answer.int16(0);
    answer.text(topic);
    answer.int8(0);
    answer.int32(1);
    answer.int16(0);
    answer.int32(0);
    answer.int32(NUMBER);
    for _replicas_and_those_in_sync in 0..2 {
        answer.int32(1);
        answer.int32(NUMBER);
    }
}
