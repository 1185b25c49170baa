//! Wires the page on which customers see what rests about them: with the profiles, and with who mails its links.

use std::sync::Arc;

use crate::{
    config::Config,
    delivery::carrier::mail::MailCarrier,
    destination::SettingsError,
    privacy::keys::persistent::PersistentKeys,
    profile::{Profiles, audit::ProfileAudit},
    server::{MailedLink, OwnData},
    supervise::Supervisor,
};

/// The page.
///
/// # Errors
/// When the mail server of the configuration cannot be used.
pub(super) fn own_data(
    config: &Config,
    (profiles, audit): (&Arc<Profiles>, ProfileAudit),
    persistent: &Arc<PersistentKeys>,
    supervisor: &Supervisor,
) -> Result<Arc<OwnData>, SettingsError> {
    let carrier = config.own_data.as_ref().map(|own_data| MailCarrier::by(&own_data.mail)).transpose()?;
    let send = carrier.map(|carrier| {
        let carrier = Arc::new(carrier);
        move |MailedLink { address, subject, text }: MailedLink| {
            let carrier = Arc::clone(&carrier);
            async move { carrier.send_to(address.for_the_mail_server(), &subject, &text).await }
        }
    });
    Ok(OwnData::start((Arc::clone(profiles), audit), Arc::clone(persistent), supervisor.clone(), send))
}
