//! The demonstration's site as it is set up at a start: its documents with this installation's own names, its pages, and what its shop's backend has, the
//! secret that customers are signed with.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::PageValues;
use crate::{
    app::StartError,
    documents::{
        names::neutral_prefix,
        parse::{Document, DocumentFile},
        store::DocumentStore,
    },
    server::Pages,
};

/// In the data directory; made at the first start.
const SECRET: &str = "shop-secret";

/// The demonstration's documents, with this installation's own prefix, the origins that its pages have, and the secret of its shop.
///
/// # Errors
/// When the store cannot be read, or the secret not be made.
pub fn documents(store: &DocumentStore, origins: Vec<String>, data_dir: &Path) -> Result<Vec<Document>, StartError> {
    let known = store.export()?.into_iter().find_map(|document| match document {
        Document::Site(site) => Some(site.prefix),
        _ => None,
    });
    let secret = secret(data_dir).map_err(|reason| StartError::DataDirectory { directory: data_dir.to_owned(), reason })?;
    let file = DocumentFile::parse(include_str!("documents.toml")).expect("the demonstration's documents are well-formed");
    let mut documents = file.into_documents();
    for document in &mut documents {
        if let Document::Site(site) = document {
            site.prefix = known.clone().unwrap_or_else(neutral_prefix);
            site.origins.clone_from(&origins);
            site.identify_secret = Some(format!("file:{}", secret.display()));
        }
    }
    Ok(documents)
}

/// The file of the shop's secret. It is there whole or not at all, for its owner's eyes alone.
fn secret(data_dir: &Path) -> io::Result<PathBuf> {
    let file = std::path::absolute(data_dir)?.join(SECRET);
    if !file.exists() {
        let random = getrandom::u64().and_then(|first| Ok([first, getrandom::u64()?, getrandom::u64()?, getrandom::u64()?]));
        let random = random.map_err(io::Error::other)?;
        let mut made = tempfile::NamedTempFile::new_in(data_dir)?;
        writeln!(made, "{}", random.map(|part| format!("{part:016x}")).concat())?;
        made.as_file().sync_all()?;
        made.persist(&file).map_err(|error| error.error)?;
    }
    Ok(file)
}

/// The demonstration's pages, for a console at this address.
#[must_use]
pub fn pages(admin: SocketAddr) -> Pages {
    Arc::new(move |path, site, sign_for| {
        let values = PageValues {
            script: format!("{}/{}", site.prefix, site.script),
            about: format!("{}/about", site.prefix),
            global: site.global.clone(),
            live: format!("http://{admin}/"),
        };
        super::page(path, &values, sign_for)
    })
}
