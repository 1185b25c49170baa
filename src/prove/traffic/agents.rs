//! User agents with the share and the screen that they have on the web: counted ones from `user_agents.tsv`, and made-up ones for what is
//! rarer than a count of ten thousand can see: browsers inside applications, which name a build of their own.

use fastrand::Rng;

const COUNTED: &str = include_str!("user_agents.tsv");
const MILLION: u32 = 1_000_000;

/// What kind of device a user agent is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// With a keyboard.
    Desktop,
    /// A phone or tablet.
    Mobile,
}

struct Agent {
    /// Of all with a lower or the same rank, in millionths.
    up_to: u32,
    width: u32,
    text: &'static str,
}

/// The agents, the most frequent first.
pub struct Agents(Vec<Agent>);

impl Agents {
    /// As they are counted on the web.
    #[must_use]
    pub fn counted() -> Self {
        let mut up_to = 0;
        let rows = COUNTED.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let mut columns = line.splitn(3, '\t');
            let mut number = || columns.next().and_then(|text| text.parse::<u32>().ok()).expect("a row begins with two numbers");
            let (share, width) = (number(), number());
            up_to += share;
            Agent { up_to, width, text: columns.next().expect("a row ends with a user agent") }
        });
        Self(rows.collect())
    }

    /// The counted ones, the most frequent first.
    pub fn texts(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|agent| agent.text)
    }

    /// A user agent, its screen's width and its kind.
    pub fn draw(&self, random: &mut Rng) -> (String, u32, Kind) {
        let place = random.u32(0..MILLION);
        let index = self.0.partition_point(|agent| agent.up_to <= place);
        let Some(agent) = self.0.get(index) else { return made_up(random) };
        let kind = if agent.text.contains("Mobile") || agent.text.contains("Android") { Kind::Mobile } else { Kind::Desktop };
        (agent.text.to_owned(), agent.width, kind)
    }
}

/// One that hardly anybody else has.
fn made_up(random: &mut Rng) -> (String, u32, Kind) {
    let (major, build, number) = (random.u32(60..155), random.u32(1000..9999), random.u32(10..999));
    let width = random.u32(320..480);
    match random.u32(0..4) {
        0 => (
            format!(
                "Mozilla/5.0 (Linux; Android {}; SM-{}{number}B Build/R{build}; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 \
                 Chrome/{major}.0.{build}.{number} Mobile Safari/537.36 [FBAN/EMA;FBAV/{build}.0.0.{number}]",
                random.u32(6..16),
                char::from(random.u8(b'A'..=b'Z'))
            ),
            width,
            Kind::Mobile,
        ),
        1 => (
            format!(
                "Mozilla/5.0 (iPhone; CPU iPhone OS {}_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E{number} Instagram {build}.0",
                random.u32(12..27),
                random.u32(0..8)
            ),
            width,
            Kind::Mobile,
        ),
        2 => (
            format!("Mozilla/5.0 (X11; Linux x86_64; rv:{major}.0) Gecko/20100101 Firefox/{major}.0 Distribution/{build}.{number}"),
            random.u32(1024..3840),
            Kind::Desktop,
        ),
        _ => (
            format!(
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.{build}.{number} Safari/537.36 OPR/{}.0",
                random.u32(50..120)
            ),
            random.u32(1024..3840),
            Kind::Desktop,
        ),
    }
}

/// What crawls and says so, or does not.
#[must_use]
pub fn automated(random: &mut Rng) -> String {
    let names = ["ExampleBot/2.1 (+https://bot.example/)", "python-requests/2.32.0", "curl/8.9.1"];
    match random.usize(0..4) {
        3 => String::from("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/145.0.0.0 Safari/537.36"),
        index => names[index].to_owned(),
    }
}
