//! The certificates and keys of a private control plane: one authority, ECDSA P-256 throughout.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::json;

use crate::{Error, Result};

/// Where the files lie. Made once per data folder.
pub(crate) struct Pki {
    dir: PathBuf,
}

/// A client of the API server, as Kubernetes reads it from a certificate.
struct Client {
    name: &'static str,
    user: &'static str,
    group: Option<&'static str>,
}

const ADMIN: Client = Client { name: "admin", user: "admin", group: Some("system:masters") };
const CONTROLLER_MANAGER: Client = Client { name: "controller-manager", user: "system:kube-controller-manager", group: None };

impl Pki {
    /// Makes everything in `dir`, unless it is there.
    pub(crate) fn create_or_open(dir: &Path) -> Result<Self> {
        let pki = Self { dir: dir.to_owned() };
        if dir.exists() {
            return Ok(pki);
        }
        let partial = Self { dir: dir.with_extension("partial") };
        std::fs::create_dir_all(&partial.dir).map_err(Error::file("creating the folder", &partial.dir))?;
        partial.make()?;
        std::fs::rename(&partial.dir, dir).map_err(Error::file("renaming", &partial.dir))?;
        Ok(pki)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Writes the kubeconfigs of the administrator and the controller manager for the API server at `port`. They hold the
    /// credentials themselves, so that they can be copied.
    pub(crate) fn write_kubeconfigs(&self, into: &Path, port: u16) -> Result<()> {
        for client in [&ADMIN, &CONTROLLER_MANAGER] {
            let text = self.kubeconfig(client, port)?;
            write_private(&into.join(format!("{}.kubeconfig", client.name)), &text)?;
        }
        Ok(())
    }

    fn make(&self) -> Result<()> {
        let (authority, issuer) = authority()?;
        self.write("ca.crt", &authority)?;
        let server = {
            let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(String::from);
            let mut params = CertificateParams::new(names).map_err(Error::Certificate)?;
            params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params
        };
        self.sign("server", server, &issuer)?;
        for client in [&ADMIN, &CONTROLLER_MANAGER] {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, client.user);
            if let Some(group) = client.group {
                params.distinguished_name.push(DnType::OrganizationName, group);
            }
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            self.sign(client.name, params, &issuer)?;
        }
        let tokens = KeyPair::generate().map_err(Error::Certificate)?;
        self.write("service-accounts.key", &tokens.serialize_pem())?;
        self.write("service-accounts.pub", &tokens.public_key_pem())
    }

    fn sign(&self, name: &str, mut params: CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Result<()> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().map_err(Error::Certificate)?;
        let certificate = params.signed_by(&key, issuer).map_err(Error::Certificate)?;
        self.write(&format!("{name}.key"), &key.serialize_pem())?;
        self.write(&format!("{name}.crt"), &certificate.pem())
    }

    /// JSON, which every reader of YAML reads.
    fn kubeconfig(&self, client: &Client, port: u16) -> Result<String> {
        let data = |name: &str| {
            let path = self.dir.join(name);
            std::fs::read(&path).map(|bytes| BASE64.encode(bytes)).map_err(Error::file("reading", &path))
        };
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "paramedic-local", "cluster": {
                "server": format!("https://127.0.0.1:{port}"),
                "certificate-authority-data": data("ca.crt")?,
            }}],
            "users": [{"name": client.name, "user": {
                "client-certificate-data": data(&format!("{}.crt", client.name))?,
                "client-key-data": data(&format!("{}.key", client.name))?,
            }}],
            "contexts": [{"name": "paramedic-local", "context": {"cluster": "paramedic-local", "user": client.name}}],
            "current-context": "paramedic-local",
        });
        Ok(format!("{config:#}\n"))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        write_private(&self.dir.join(name), text)
    }
}

fn authority() -> Result<(String, Issuer<'static, KeyPair>)> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "paramedic-local");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().map_err(Error::Certificate)?;
    let certificate = params.self_signed(&key).map_err(Error::Certificate)?.pem();
    Ok((certificate, Issuer::new(params, key)))
}

/// Keys and kubeconfigs give full power over the cluster: only their owner may read them.
fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(0o600);
    let mut file = options.open(path).map_err(Error::file("creating", path))?;
    file.write_all(text.as_bytes()).map_err(Error::file("writing", path))
}
