//! `run`: the server, from a configuration; or the demonstration, where there is none. With `--take-over`, in the place of a server that
//! runs.

use std::{io::Write, net::SocketAddr, time::Duration};

use tokio::{
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{CommandError, ListenArguments, Place};
use crate::{
    app::{ApiAddress, App, Inherited, Setup},
    clock::{self, Timestamp},
    config::Config,
    hand_over::{self, Before},
    supervise::{self, Supervisor},
};

/// How to run.
#[derive(Default)]
pub(super) struct How {
    /// Whether to take over from the process that runs.
    pub(super) take_over: bool,
    /// A rehearsal's clock, in milliseconds since 1970.
    pub(super) clock: Option<i64>,
}

pub(super) fn run(place: &Place, listen: &ListenArguments, how: How, out: &mut dyn Write) -> Result<(), CommandError> {
    let (mut config, demonstration) = match place.config()? {
        Some(config) => (config, false),
        None => (Config::demonstration(), true),
    };
    if let Some(directory) = &place.data_dir {
        config.data_dir.clone_from(directory);
    }
    config.listen.http = listen.listen.or(config.listen.http);
    config.listen.https = listen.tls_listen.or(config.listen.https);
    if let Some(admin) = listen.admin_listen {
        if !admin.ip().is_loopback() {
            return Err(format!(
                "--admin-listen {admin}: the admin listener has no access control, so it listens on loopback only\n  \
                 fix: --admin-listen 127.0.0.1:8081, and a tunnel to it"
            )
            .into());
        }
        config.listen.admin = admin;
    }
    if demonstration {
        refuse_open(&config, "the demonstration", "`firsthand init https://www.shop.example` writes a configuration for a real site")?;
    }
    if let Some(time) = how.clock {
        refuse_open(&config, "a rehearsal", "without --clock it is no rehearsal")?;
        rehearse(Timestamp(time));
    }
    #[cfg(feature = "proof")]
    let _rule = left_out()?;
    let setup = Setup { config, demonstration };
    let (inherited, mut before) = if how.take_over { inherit(&setup)? } else { (Inherited::default(), None) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let line = supervise::line_runtime()?;
    let end = runtime.block_on(serve(setup, inherited, &mut before, line.handle(), out));
    line.shutdown_timeout(Duration::from_secs(1));
    runtime.shutdown_timeout(Duration::from_secs(1));
    // Where this process could not take over, the one before goes on as soon as it hears nothing more: not before all is closed here.
    drop(before);
    end
}

/// What the process that runs hands over; it waits to hear that this one has begun.
fn inherit(setup: &Setup) -> Result<(Inherited, Option<Before>), CommandError> {
    App::check(setup)?;
    let Some(mut before) = hand_over::ask(&setup.config.data_dir)? else {
        tracing::info!("nobody runs on this data directory: there is nothing to take over");
        return Ok((Inherited::default(), None));
    };
    match before.receive() {
        Ok((sockets, estate)) => Ok((Inherited { sockets, estate: Some(estate) }, Some(before))),
        Err(error) => {
            tracing::warn!(%error, "the process before ended without handing over: today's visitors are counted anew (an epoch break)");
            Ok((Inherited::default(), None))
        }
    }
}

/// The rule of privacy that a weakened run of `prove` leaves out.
#[cfg(feature = "proof")]
fn left_out() -> Result<Option<crate::privacy::rules::TakenOut>, CommandError> {
    use crate::privacy::rules::{Rule, take_out};
    let Ok(name) = std::env::var(crate::prove::child::RULE_VARIABLE) else { return Ok(None) };
    let rule = Rule::ALL.iter().find(|rule| format!("{rule:?}") == name).ok_or("there is no rule of that name")?;
    Ok(Some(take_out(*rule)))
}

/// This process's clock is the rehearsal's from here on: at `time` first, then at each that a line of standard input says.
fn rehearse(time: Timestamp) {
    clock::set(time);
    tracing::warn!("this is a rehearsal: the time is not the machine's, and nothing lives as long as it says");
    supervise::thread("rehearsal clock", || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            match line.trim().parse() {
                Ok(time) => clock::set(Timestamp(time)),
                Err(_) => tracing::warn!("a line of standard input is no time"),
            }
        }
    });
}

/// The demonstration believes everyone on this machine about the visitor's address, and a rehearsal has a time of its own, so nobody else may
/// reach either.
fn refuse_open(config: &Config, what: &str, fix: &str) -> Result<(), CommandError> {
    let open = |address: &SocketAddr| !address.ip().is_loopback();
    match config.listen.http.iter().chain(&config.listen.https).find(|address| open(address)) {
        Some(address) => Err(format!("{address}: {what} is for this machine only\n  fix: {fix}").into()),
        None => Ok(()),
    }
}

async fn serve(
    setup: Setup,
    inherited: Inherited,
    before: &mut Option<Before>,
    line: &Handle,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut stop = StopSignals::listen()?;
    let supervisor = || Supervisor::new().with_line(line.clone());
    let mut app = App::start_from(inherited, setup.clone(), supervisor()).await?;
    if let Some(Err(error)) = before.take().map(Before::taken_over) {
        tracing::warn!(%error, "the process before was gone before it heard that this one runs");
    }
    tell_addresses(&app, &setup, out)?;
    loop {
        let next = tokio::select! {
            () = stop.asked_for() => {
                if !app.stop().await {
                    tracing::warn!("some requests or deliveries did not end in time; what was acknowledged is in the log");
                }
                return Ok(());
            }
            next = app.next() => next,
        };
        tracing::info!("another process takes over: closing");
        let (sockets, estate) = app.close_for_next().await;
        let give = move || (next.give(&sockets, &estate), sockets, estate);
        let (given, sockets, estate) = Supervisor::new().blocking(give).await;
        match given {
            Ok(()) => {
                tracing::info!("another process has taken over");
                return Ok(());
            }
            Err(error) => tracing::warn!(%error, "the other process did not take over: this one goes on"),
        }
        app = App::start_from(Inherited { sockets, estate: Some(estate) }, setup.clone(), supervisor()).await?;
    }
}

fn tell_addresses(app: &App, setup: &Setup, out: &mut dyn Write) -> std::io::Result<()> {
    let at = |tls: bool| app.addresses().iter().find(|local| local.tls == tls).map(|local| local.address);
    if setup.demonstration {
        let page = at(false).map_or_else(String::new, |address| format!("http://{address}/"));
        writeln!(out, "\n  Firsthand demonstration\n")?;
        writeln!(out, "  Open   {page}")?;
        writeln!(out, "         a small shop, and beside it, live, what each destination receives of your visit\n")?;
        if let (Some(address), Some(authority)) = (at(true), app.certificate_authority()) {
            writeln!(out, "  TLS    https://localhost:{}/   (trust {} to see it without a warning)", address.port(), authority.display())?;
        }
        writeln!(out, "  Admin  http://{}/   (live view, /healthz, /metrics)", app.admin())?;
        writeln!(out, "  Data   {}/   (clean events only; the file destinations are in outbox/)", setup.config.data_dir.display())?;
        writeln!(out, "\n  For your own site: firsthand init https://www.shop.example\n  Stop with Ctrl-C.\n")?;
    } else {
        for local in app.addresses() {
            writeln!(out, "listening on {}://{}", if local.tls { "https" } else { "http" }, local.address)?;
        }
        if let Some(ApiAddress { address, tls }) = app.api() {
            writeln!(out, "profile API on {}://{address}/api/v1/", if tls { "https" } else { "http" })?;
        }
        writeln!(out, "admin on http://{}/", app.admin())?;
    }
    out.flush()
}

/// What asks a process to stop. Heard from when this is made on, also while nobody waits for it.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked_for(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
