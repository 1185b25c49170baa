//! The integration tests: the line through the library with files as input, and the real binary as a whole.
//!
//! | module | says |
//! |---|---|
//! | `golden` | request bytes → what may rest of them, and the answer |
//! | `non_interference` | what differs only where nobody may look gives the same disclosures |
//! | `canary` | nothing that is marked as personal is in any byte that rests or leaves |
//! | `deployment` | what `doctor` finds of a live deployment from outside: right, and wrong in each of the ways that it knows |
//! | `durability` | what was acknowledged survives `kill -9`; an answer follows its sync |
//! | `faults` | broken receivers, a full disk, hostile clients, a stop under load |
//! | `consent_proof` | what is on record of what visitors said |
//! | `egress` | what left is counted as its receivers count it, signed by day, and a change is found |
//! | `policies` | a deviation changes its field alone, and never what rested to something wider |
//! | `api` | the profile API: what it answers is what its document says, and who has no key for it learns nothing |
//! | `lookup` | what a page is told of its own visitor's profile: what is listed, with consent now, and the same answer of everybody else |
//! | `profiles` | customer profiles: joined by proof alone, explained, parted again, gone with the consent; on every store |
//! | `profile_crashes` | a process that dies at any call to its profile store leaves the same profiles |
//! | `profile_erasure` | of whoever is erased, known by every kind of identifier, no byte is left, nor any that can be read in a backup |
//! | `profile_scale` | how the profile store grows: what comes in, is looked up, joined, parted and made again, on a disk, in either store |
//! | `envelope` | what is kept beside an event for an advertising vendor, in memory alone, and what ends it |
//! | `iglu` | what Snowplow is sent keeps to the schemas of Iglu Central |
//! | `backlog` | a long backlog leaves whole, each event once, in bounded memory |
//! | `digest_oracles` | digests of contact data are those that vendors' own code makes |
//! | `hand_over` | a new process takes over from the one that runs, and nobody notices |
//! | `hostile` | a thousand broken requests of each dialect are answered and cost nothing |
//! | `inspect` | what became of an event, what a destination would make of events, and sending them again |
//! | `proxies` | web servers in front, with what `init --proxy` writes: address, scheme, body, log
//! | `prove` | the canary run on an installation: green, red, and its evidence |
//! | `releases` | the data of every release opens, is brought up to date and delivers what waited; newer data is refused |
//! | `records` | what a privacy officer is given of an installation, and that it is of what is in force |
//! | `recleanse` | what is stored is brought to tightened documents, through kills too, and never becomes wider again |
//! | `recovery` | in how many visits a vendor's own tag did not run: counted once, by family, with consent alone |
//! | `relay` | what a vendor's library says leaves in words that its protocol reads as the same event |
//! | `regressions` | what other products got wrong, R1 to R14, is not wrong here |
//! | `rights` | export, erasure, backup and restore: what is handed out is what rests, and nobody comes back |
//! | `nats`, `postgres` | a real server of each: an event is one message or row there, and the ledger counts what is there |
//! | `umami` | Umami's own server stores and reports what is sent, and counts as the ledger does |
//! | `webhook_keys` | OpenSSL checks what is signed with a key of our own, also while keys change |
//! | `mailed_alerts` | the same by mail, taken by a real SMTP server |
//! | `alerts` | what calls for a person is told, once when it begins and once when it is over |
//! | `attacks` | the attacks of `prove --scoreboard` on what leaves: they see what is there to be seen, and nothing where there is nothing |
//! | `scoreboard` | synthetic days pass through the line: target, figure, pass or miss |
//! | `traffic_tails` | those days are as heavy-tailed as the web's |
//! | `cells` | the six cells of basis and state, for three destinations each, as a golden file |
//! | `crowds` | what too few have in common does not leave |
//! | `held_back` | a day that is held back survives kills, and leaves once, when it is over |
//! | `clicks` | click ids go to their issuer alone, and referrers are said at the policy's level |
//! | `consent_table` | who gets what for which choice, and the cookie |
//! | `build_script` | which commit a release says that it was built from |
//! | `cookies` | the form of the site's cookies, and what is left of another one |
//! | `consent_oracle` | consent strings are read as the IAB's own libraries read them |
//! | `withdrawal` | with a backlog that is being sent, nothing more of a person who withdraws leaves after a second, nor from a backup |
//! | `vendors` | a TC string that does not consent to a destination's vendor |
//! | `bots` | a verdict is data on the event: it rests, leaves and withholds as the documents say |
//! | `bots_oracle` | published crawlers are known, and real browsers are not taken for one |
//! | `transparency` | what a visitor is shown of all that, and the button on it |
//! | `uniques` | visitors and visits in our own count, and how long ids may be for it |
//! | `command_line` | the commands and their messages |
//!
//! A test that needs what a machine has not says so in a line that begins with `left out:` and passes.
#![expect(clippy::unwrap_used, reason = "in a test, what fails is told by the test")]

mod alerts;
mod api;
mod api_writes;
mod apps;
mod attacks;
mod backend;
mod backlog;
mod bots;
mod bots_oracle;
mod build_script;
mod canary;
mod cells;
mod clicks;
mod clock_jump;
mod command_line;
mod consent_oracle;
mod consent_proof;
mod consent_table;
mod cookies;
mod crowds;
mod deployment;
mod digest_oracles;
mod durability;
mod egress;
mod envelope;
mod faults;
mod faulty_files;
mod golden;
mod hand_over;
mod held_back;
mod hostile;
mod identifiers;
mod iglu;
mod mailed_alerts;
mod nats;
mod non_interference;
mod own_data;
mod policies;
mod postgres;
mod profile_crashes;
mod profile_erasure;
mod profile_scale;
mod profiles;
mod prove;
mod proxies;
mod recleanse;
mod records;
mod recovery;
mod regressions;
mod relay;
mod releases;
mod restriction;
mod rights;
mod scoreboard;
mod server_events;
mod traffic_tails;
mod transparency;
mod twins;
mod umami;
mod uniques;
mod vendors;
mod webhook_keys;
mod withdrawal;

mod campaign;
mod certificate;
mod http_client;
mod inspect;
mod installation;
mod left_out;
mod line;
mod lookup;
mod memory_files;
mod nkeys;
mod real_nats;
mod real_postgres;
mod receiver;
mod system_calls;
