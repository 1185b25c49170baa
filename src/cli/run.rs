//! `run`: the server, from a configuration; or the demonstration, where there is none.

use std::{io::Write, net::SocketAddr, time::Duration};

use super::{CommandError, ListenArguments, Place};
use crate::{
    app::{App, Setup},
    config::Config,
    supervise::Supervisor,
};

pub(super) fn run(place: &Place, listen: &ListenArguments, out: &mut dyn Write) -> Result<(), CommandError> {
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
                "--admin-listen {admin}: the admin listener has no access control yet, so it listens on loopback only\n  \
                 fix: --admin-listen 127.0.0.1:8081, and a tunnel to it"
            )
            .into());
        }
        config.listen.admin = admin;
    }
    if demonstration {
        refuse_open_demonstration(&config)?;
    }
    #[cfg(feature = "proof")]
    let _rule = left_out()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(Setup { config, demonstration }, out))?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

/// The rule of privacy that a weakened run of `prove` leaves out.
#[cfg(feature = "proof")]
fn left_out() -> Result<Option<crate::privacy::rules::TakenOut>, CommandError> {
    use crate::privacy::rules::{Rule, take_out};
    let Ok(name) = std::env::var(crate::prove::child::RULE_VARIABLE) else { return Ok(None) };
    let rule = Rule::ALL.iter().find(|rule| format!("{rule:?}") == name).ok_or("there is no rule of that name")?;
    Ok(Some(take_out(*rule)))
}

/// The demonstration believes everyone on this machine about the visitor's address, so nobody else may reach it.
fn refuse_open_demonstration(config: &Config) -> Result<(), CommandError> {
    let open = |address: &SocketAddr| !address.ip().is_loopback();
    match config.listen.http.iter().chain(&config.listen.https).find(|address| open(address)) {
        Some(address) => Err(format!(
            "{address}: the demonstration is for this machine only\n  fix: `firsthand init https://www.shop.example` writes a configuration for a real site"
        )
        .into()),
        None => Ok(()),
    }
}

async fn serve(setup: Setup, out: &mut dyn Write) -> Result<(), CommandError> {
    let demonstration = setup.demonstration;
    let data = setup.config.data_dir.clone();
    let app = App::start(setup, Supervisor::new()).await?;
    let at = |tls: bool| app.addresses().iter().find(|local| local.tls == tls).map(|local| local.address);
    if demonstration {
        let page = at(false).map_or_else(String::new, |address| format!("http://{address}/"));
        writeln!(out, "\n  Firsthand demonstration\n")?;
        writeln!(out, "  Open   {page}")?;
        writeln!(out, "         a small shop, and beside it, live, what each destination receives of your visit\n")?;
        if let (Some(address), Some(authority)) = (at(true), app.certificate_authority()) {
            writeln!(out, "  TLS    https://localhost:{}/   (trust {} to see it without a warning)", address.port(), authority.display())?;
        }
        writeln!(out, "  Admin  http://{}/   (live view, /healthz, /metrics)", app.admin())?;
        writeln!(out, "  Data   {}/   (clean events only; the file destinations are in outbox/)", data.display())?;
        writeln!(out, "\n  For your own site: firsthand init https://www.shop.example\n  Stop with Ctrl-C.\n")?;
    } else {
        for local in app.addresses() {
            writeln!(out, "listening on {}://{}", if local.tls { "https" } else { "http" }, local.address)?;
        }
        writeln!(out, "admin on http://{}/", app.admin())?;
    }
    out.flush()?;
    stop_asked_for().await?;
    if !app.stop().await {
        tracing::warn!("some requests or deliveries did not end in time; what was acknowledged is in the log");
    }
    Ok(())
}

#[cfg(unix)]
async fn stop_asked_for() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn stop_asked_for() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
