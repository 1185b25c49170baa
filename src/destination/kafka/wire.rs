//! As much of Kafka's protocol as a producer speaks, <https://kafka.apache.org/protocol>: bytes in, values out. The versions of its messages are
//! those that every broker from 1.0 on takes, the newest included, so that none has to be asked which it has.

use std::ops::RangeInclusive;

/// What a request asks for, and which version of it is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// To keep records.
    Produce,
    /// Who leads which partition.
    Metadata,
    /// To agree on a way to log in.
    Handshake,
    /// To log in.
    Authenticate,
}

impl Api {
    const ALL: [Self; 4] = [Self::Produce, Self::Metadata, Self::Handshake, Self::Authenticate];

    const fn key_and_version(self) -> (i16, i16) {
        match self {
            Self::Produce => (0, 3),
            Self::Metadata => (3, 4),
            Self::Handshake => (17, 1),
            Self::Authenticate => (36, 0),
        }
    }
}

/// What the program calls itself.
const CLIENT: &str = "firsthand";
/// All replicas that are in sync have to have a record before the broker says so.
const ALL_REPLICAS: i16 = -1;
/// How long the leader may wait for them, in ms: less than an attempt may take.
const REPLICAS_WITHIN_MS: i32 = 10_000;
/// A topic may have a great many partitions; an answer with more things of a kind is none.
const LIST_MAX: i32 = 100_000;
/// The version of batches of records that has headers and this checksum.
const MAGIC: i8 = 2;
/// The header that says which event a record is.
pub const EVENT_ID: &str = "event-id";

/// Bytes that are not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no answer of a broker")]
pub struct Malformed;

/// A record, as it is put into a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said<'r> {
    /// What decides its partition.
    pub key: &'r [u8],
    /// What it says.
    pub value: &'r [u8],
    /// Which event it is: the value of its one header.
    pub id: &'r [u8],
    /// In milliseconds since 1970.
    pub time: i64,
}

/// What a broker says of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Numbers of brokers, and where they are.
    pub brokers: Vec<(i32, String, u16)>,
    /// What is wrong with the topic; 0 where nothing is.
    pub error: i16,
    /// Its partitions, and the broker that leads each; below zero where nobody does now.
    pub partitions: Vec<(i32, i32)>,
}

/// A topic, and the records that are to be kept in each of its partitions.
pub type Produced<'r> = (&'r str, Vec<(i32, Vec<Said<'r>>)>);

/// Asks who leads the partitions of a topic. One that is not there is not made.
#[must_use]
pub fn metadata(number: i32, topic: &str) -> Vec<u8> {
    let mut frame = request(Api::Metadata, number);
    frame.int32(1);
    frame.text(topic);
    frame.int8(0);
    frame.done()
}

/// Reads the answer to [`metadata`].
///
/// # Errors
/// When it is none.
pub fn read_metadata(answer: &[u8]) -> Result<Metadata, Malformed> {
    let mut from = Reader(answer);
    from.int32()?;
    let mut metadata = Metadata::default();
    for _ in 0..from.count()? {
        let (number, host, port) = (from.int32()?, from.text()?.to_owned(), from.int32()?);
        from.optional_text()?;
        metadata.brokers.push((number, host, u16::try_from(port).map_err(|_| Malformed)?));
    }
    from.optional_text()?;
    from.int32()?;
    if from.count()? != 1 {
        return Err(Malformed);
    }
    metadata.error = from.int16()?;
    from.text()?;
    from.int8()?;
    for _ in 0..from.count()? {
        // A partition that has no leader says so twice.
        from.int16()?;
        metadata.partitions.push((from.int32()?, from.int32()?));
        for _ in 0..2 {
            for _ in 0..from.count()? {
                from.int32()?;
            }
        }
    }
    Ok(metadata)
}

/// Asks the leader of some partitions of a topic to keep a batch in each.
#[must_use]
pub fn produce(number: i32, topic: &str, batches: &[(i32, Vec<u8>)]) -> Vec<u8> {
    let mut frame = request(Api::Produce, number);
    frame.nothing();
    frame.int16(ALL_REPLICAS);
    frame.int32(REPLICAS_WITHIN_MS);
    frame.int32(1);
    frame.text(topic);
    frame.length(batches.len());
    for (partition, batch) in batches {
        frame.int32(*partition);
        frame.bytes(batch);
    }
    frame.done()
}

/// Reads the answer to [`produce`]: for each partition the error, 0 where there is none.
///
/// # Errors
/// When it is none.
pub fn read_produced(answer: &[u8]) -> Result<Vec<(i32, i16)>, Malformed> {
    let mut from = Reader(answer);
    let mut all = Vec::new();
    for _ in 0..from.count()? {
        from.text()?;
        for _ in 0..from.count()? {
            all.push((from.int32()?, from.int16()?));
            from.take(16)?;
        }
    }
    Ok(all)
}

/// Asks to log in this way.
#[must_use]
pub fn handshake(number: i32, mechanism: &str) -> Vec<u8> {
    let mut frame = request(Api::Handshake, number);
    frame.text(mechanism);
    frame.done()
}

/// Reads the answer to [`handshake`]: the error, 0 where there is none.
///
/// # Errors
/// When it is none.
pub fn read_handshake(answer: &[u8]) -> Result<i16, Malformed> {
    Reader(answer).int16()
}

/// A step of logging in.
#[must_use]
pub fn authenticate(number: i32, said: &[u8]) -> Vec<u8> {
    let mut frame = request(Api::Authenticate, number);
    frame.bytes(said);
    frame.done()
}

/// Reads the answer to [`authenticate`]: the error, 0 where there is none, and the broker's own step.
///
/// # Errors
/// When it is none.
pub fn read_authenticated(answer: &[u8]) -> Result<(i16, Vec<u8>), Malformed> {
    let mut from = Reader(answer);
    let error = from.int16()?;
    // A text for people, which may quote what was said.
    from.optional_text()?;
    Ok((error, from.bytes()?.to_vec()))
}

/// A batch of records, which a partition keeps or refuses as a whole.
#[must_use]
pub fn batch(records: &[Said<'_>]) -> Vec<u8> {
    let first = records.first().map_or(0, |record| record.time);
    let latest = records.iter().map(|record| record.time).max().unwrap_or(first);
    let mut rest = Frame(Vec::new());
    // No compression, time of the sender's making.
    rest.int16(0);
    rest.length(records.len().saturating_sub(1));
    rest.int64(first);
    rest.int64(latest);
    // Nobody's: no producer's number, epoch and sequence.
    rest.int64(-1);
    rest.int16(-1);
    rest.int32(-1);
    rest.length(records.len());
    for (at, record) in records.iter().enumerate() {
        let mut said = Frame(Vec::new());
        said.int8(0);
        said.varint(record.time - first);
        said.varint(i64::try_from(at).unwrap_or(i64::MAX));
        said.sized(record.key);
        said.sized(record.value);
        said.varint(1);
        said.sized(EVENT_ID.as_bytes());
        said.sized(record.id);
        rest.sized(&said.0);
    }
    let mut batch = Frame(Vec::new());
    batch.int64(0);
    // What stands between the length and the checksum is counted, too: five bytes, and the checksum's four.
    batch.length(rest.0.len() + 9);
    batch.int32(-1);
    batch.int8(MAGIC);
    batch.0.extend_from_slice(&crc32c::crc32c(&rest.0).to_be_bytes());
    batch.0.extend_from_slice(&rest.0);
    batch.0
}

/// The partition of a key among so many, by the hash that Kafka's own clients have: others who write with the same key agree.
#[must_use]
pub fn partition_of(key: &[u8], partitions: usize) -> usize {
    let positive = murmur2(key) & 0x7fff_ffff;
    positive as usize % partitions.max(1)
}

fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut hash = SEED ^ u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut mixed = word.iter().rev().fold(0, |mixed: u32, byte| mixed << 8 | u32::from(*byte)).wrapping_mul(M);
        mixed ^= mixed >> 24;
        hash = hash.wrapping_mul(M) ^ mixed.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |mixed: u32, byte| mixed << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

/// A request as a broker sees it: what is asked, the number that its answer has, and what follows.
///
/// # Errors
/// When it is none that this program makes.
pub fn read_request(bytes: &[u8]) -> Result<(Api, i32, Reader<'_>), Malformed> {
    let mut from = Reader(bytes);
    let asked = (from.int16()?, from.int16()?);
    let api = Api::ALL.into_iter().find(|api| api.key_and_version() == asked).ok_or(Malformed)?;
    let number = from.int32()?;
    from.optional_text()?;
    Ok((api, number, from))
}

/// The topic and its records in a [`produce`], by partition.
///
/// # Errors
/// When they are none that this program makes.
pub fn read_produce<'r>(from: &mut Reader<'r>) -> Result<Produced<'r>, Malformed> {
    from.optional_text()?;
    from.take(6)?;
    from.only(1..=1)?;
    let topic = from.text()?;
    let mut partitions = Vec::new();
    for _ in 0..from.count()? {
        let partition = from.int32()?;
        partitions.push((partition, read_batch(from.bytes()?)?));
    }
    Ok((topic, partitions))
}

fn read_batch(bytes: &[u8]) -> Result<Vec<Said<'_>>, Malformed> {
    let mut from = Reader(bytes);
    from.take(16)?;
    if from.int8()? != MAGIC || from.int32()?.to_be_bytes() != crc32c::crc32c(from.0).to_be_bytes() {
        return Err(Malformed);
    }
    from.take(6)?;
    let first = from.int64()?;
    from.take(22)?;
    let mut records = Vec::new();
    for _ in 0..from.count()? {
        let mut of = Reader(from.sized()?);
        of.int8()?;
        let time = first.saturating_add(of.varint()?);
        of.varint()?;
        let (key, value) = (of.sized()?, of.sized()?);
        if of.varint()? != 1 || of.sized()? != EVENT_ID.as_bytes() {
            return Err(Malformed);
        }
        records.push(Said { key, value, id: of.sized()?, time });
    }
    Ok(records)
}

fn request(api: Api, number: i32) -> Frame {
    let (key, version) = api.key_and_version();
    let mut frame = Frame::begin();
    frame.int16(key);
    frame.int16(version);
    frame.int32(number);
    frame.text(CLIENT);
    frame
}

/// A message on its way out.
pub struct Frame(Vec<u8>);

impl Frame {
    /// One with room for its length.
    #[must_use]
    pub fn begin() -> Self {
        Self(vec![0; 4])
    }

    /// The message behind its length.
    #[must_use]
    pub fn done(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len().saturating_sub(4)).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }

    /// A byte.
    pub fn int8(&mut self, value: i8) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// Two bytes.
    pub fn int16(&mut self, value: i16) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// Four.
    pub fn int32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// Eight.
    pub fn int64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// A text, none of which is longer than 32 KiB.
    pub fn text(&mut self, text: &str) {
        self.int16(i16::try_from(text.len()).unwrap_or(i16::MAX));
        self.0.extend_from_slice(&text.as_bytes()[..text.len().min(i16::MAX as usize)]);
    }

    /// No text.
    pub fn nothing(&mut self) {
        self.int16(-1);
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// How many follow.
    pub fn length(&mut self, length: usize) {
        self.int32(i32::try_from(length).unwrap_or(i32::MAX));
    }

    fn varint(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.varint(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        self.0.extend_from_slice(bytes);
    }
}

/// What is left of a message that came.
pub struct Reader<'r>(&'r [u8]);

impl<'r> Reader<'r> {
    fn take(&mut self, length: usize) -> Result<&'r [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn int8(&mut self) -> Result<i8, Malformed> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    fn int16(&mut self) -> Result<i16, Malformed> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    fn int32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    fn int64(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    fn count(&mut self) -> Result<i32, Malformed> {
        self.only(0..=LIST_MAX)
    }

    /// A number within bounds.
    ///
    /// # Errors
    /// When it is another.
    pub fn only(&mut self, bounds: RangeInclusive<i32>) -> Result<i32, Malformed> {
        let count = self.int32()?;
        if bounds.contains(&count) { Ok(count) } else { Err(Malformed) }
    }

    fn optional_text(&mut self) -> Result<Option<&'r str>, Malformed> {
        let length = self.int16()?;
        if length == -1 {
            return Ok(None);
        }
        let bytes = self.take(usize::try_from(length).map_err(|_| Malformed)?)?;
        std::str::from_utf8(bytes).map(Some).map_err(|_| Malformed)
    }

    /// A text that is there.
    ///
    /// # Errors
    /// When it is not.
    pub fn text(&mut self) -> Result<&'r str, Malformed> {
        self.optional_text()?.ok_or(Malformed)
    }

    fn bytes(&mut self) -> Result<&'r [u8], Malformed> {
        let length = self.only(0..=i32::MAX)?;
        self.take(usize::try_from(length).map_err(|_| Malformed)?)
    }

    fn varint(&mut self) -> Result<i64, Malformed> {
        let mut value = 0_u64;
        for at in 0..10 {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(Malformed)
    }

    fn sized(&mut self) -> Result<&'r [u8], Malformed> {
        let length = self.varint()?;
        self.take(usize::try_from(length).map_err(|_| Malformed)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_partitions_that_kafkas_own_clients_give_them() {
        // <https://github.com/apache/kafka>, UtilsTest.testMurmur2.
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
        assert!((0..100_u32).all(|key| partition_of(&key.to_be_bytes(), 3) < 3));
        assert_eq!(partition_of(b"x", 0), 0);
    }

    #[test]
    fn what_is_produced_is_read_as_it_was_said() {
        let records = [
            Said { key: b"v1", value: b"{}", id: b"e-1", time: 1_764_000_000_000 },
            Said { key: b"v2", value: &[b'x'; 300], id: b"e-2", time: 1_763_999_999_000 },
            Said { key: b"", value: b"", id: b"e-3", time: 1_764_000_000_001 },
        ];
        let frame = produce(7, "events", &[(0, batch(&records[..2])), (5, batch(&records[2..]))]);
        assert_eq!(u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize, frame.len() - 4);
        let (api, number, mut rest) = read_request(&frame[4..]).unwrap();
        assert_eq!((api, number), (Api::Produce, 7));
        let (topic, partitions) = read_produce(&mut rest).unwrap();
        assert_eq!((topic, partitions), ("events", vec![(0, records[..2].to_vec()), (5, records[2..].to_vec())]));
        let mut broken = frame[4..].to_vec();
        let last = broken.len() - 1;
        broken[last] ^= 1;
        assert!(read_produce(&mut read_request(&broken).unwrap().2).is_err(), "its checksum is wrong");
    }

    #[test]
    fn whatever_comes_is_read_or_refused_and_nothing_else() {
        let mut metadata = Frame(Vec::new());
        metadata.int32(0);
        metadata.int32(1);
        metadata.int32(3);
        metadata.text("broker.example.org");
        metadata.int32(9093);
        metadata.nothing();
        metadata.text("cluster");
        metadata.int32(3);
        metadata.int32(1);
        metadata.int16(0);
        metadata.text("events");
        metadata.int8(0);
        metadata.int32(1);
        metadata.int16(0);
        metadata.int32(0);
        metadata.int32(3);
        metadata.int32(1);
        metadata.int32(3);
        metadata.int32(0);
        let read = read_metadata(&metadata.0).unwrap();
        let brokers = vec![(3, String::from("broker.example.org"), 9093)];
        assert_eq!(read, Metadata { brokers, error: 0, partitions: vec![(0, 3)] });
        for end in 0..metadata.0.len() {
            assert_eq!(read_metadata(&metadata.0[..end]), Err(Malformed), "{end}");
        }
        for bytes in [&b""[..], b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", &[0x80; 64]] {
            assert!(read_produced(bytes).is_err() && read_authenticated(bytes).is_err() && read_batch(bytes).is_err());
        }
    }
}
