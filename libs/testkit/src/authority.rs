//! Certificates for tests, made where they are used.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Who signs certificates. Files are thrown away with it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// Files of a certificate and its key.
pub struct Signed {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// A new one, which nobody trusts yet.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn create() -> Result<Self> {
        let mut random = [0u8; 8];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
        let name = format!("livepreview-authority-{}", hex::encode(random));
        let folder = std::env::temp_dir().join(&name);
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?;
        fs::create_dir(&folder)?;
        let authority = Self { issuer, folder };
        authority.write("authority.pem", &authority.issuer.pem())?;
        Ok(authority)
    }

    /// The file with its own certificate.
    ///
    /// # Errors
    /// When the folder's name is no text.
    pub fn file(&self) -> Result<String> {
        text(&self.folder.join("authority.pem"))
    }

    /// A certificate for these names or addresses.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub fn sign(&self, names: &[&str]) -> Result<Signed> {
        let key = KeyPair::generate()?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let file = names.join("-").replace([':', '.'], "_");
        let certificate = CertificateParams::new(names)?.signed_by(&key, &self.issuer)?;
        Ok(Signed {
            certificate: self.write(&format!("{file}.pem"), &certificate.pem())?,
            key: self.write(&format!("{file}.key"), &key.serialize_pem())?,
        })
    }

    fn write(&self, name: &str, pem: &str) -> Result<String> {
        let path = self.folder.join(name);
        fs::write(&path, pem).with_context(|| format!("{} cannot be written", path.display()))?;
        text(&path)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn text(path: &Path) -> Result<String> {
    Ok(path
        .to_str()
        .context("the temporary folder has an odd name")?
        .to_owned())
}
