//! What one visitor sends: a yes where their protocol has no word for it, and a no where somebody else speaks for them; the protocol's beacons;
//! and two requests that are none; one after another, over one connection.

use std::{io, net::SocketAddr};

use super::{
    beacons::{self, Target},
    canaries::{Canaries, Voice},
    wire::{Answer, Connection, Request, header},
};

/// What came back.
#[derive(Default)]
pub struct Heard {
    /// Marked beacons that were sent.
    pub beacons: usize,
    /// Those that were not answered as beacons are.
    pub unanswered: usize,
    /// Every answer.
    pub answers: Vec<Answer>,
}

/// A connection to the program under test on which visitors speak.
pub struct Line {
    address: SocketAddr,
    connection: Connection,
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers there.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { address, connection: Connection::open(address)? })
    }

    /// The beacons of one voice, with its yes and its no before them where they cannot say it.
    ///
    /// # Errors
    /// When the connection ends.
    pub fn beacons(&mut self, canaries: &mut Canaries, target: &Target, voice: Voice, number: usize) -> io::Result<Heard> {
        let mut heard = Heard::default();
        let cookie = if beacons::says_yes_before(&voice) { self.say_yes(target, number, &mut heard)? } else { None };
        if let Some(cookie) = cookie.as_deref().filter(|_| beacons::says_no_before(&voice)) {
            heard.answers.push(self.connection.exchange(&beacons::no(target, cookie))?);
        }
        for request in beacons::beacons(canaries, target, voice, number, cookie.as_deref()) {
            let answer = self.connection.exchange(&request)?;
            heard.beacons += 1;
            heard.unanswered += usize::from(!(200..300).contains(&answer.status));
            heard.answers.push(answer);
        }
        Ok(heard)
    }

    /// All that the voice sends, what leads nowhere and what is no beacon with it.
    ///
    /// # Errors
    /// When the connection ends at a beacon.
    pub fn say(&mut self, canaries: &mut Canaries, target: &Target, voice: Voice, number: usize) -> io::Result<Heard> {
        let mut heard = self.beacons(canaries, target, voice, number)?;
        for request in [beacons::stray(canaries, target, voice), beacons::form(canaries, target, voice, number)] {
            // An error may end the connection.
            match self.connection.exchange(&request) {
                Ok(answer) => heard.answers.push(answer),
                Err(_) => self.connection = Connection::open(self.address)?,
            }
        }
        Ok(heard)
    }

    /// Puts a yes on record. Returns the visitor's cookie; nothing where no destination of the site needs a yes.
    fn say_yes(&mut self, target: &Target, number: usize, heard: &mut Heard) -> io::Result<Option<String>> {
        let answer = self.connection.exchange(&beacons::yes(target, number))?;
        let cookie = header(&answer.head, "set-cookie").and_then(|line| line.split(';').next().map(|pair| pair.trim().to_owned()));
        heard.answers.push(answer);
        Ok(cookie)
    }
}

/// A header of a request.
#[must_use]
pub fn said(request: &Request, wanted: &str) -> String {
    request.headers.iter().find(|(name, _)| name == wanted).map_or_else(String::new, |(_, value)| value.clone())
}
