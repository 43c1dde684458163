//! A private Kubernetes control plane: etcd, API server and controllers, RBAC on, no nodes.
//!
//! Without nodes no container runs: [`crate::shop`] plays the kubelet for the pods that matter.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use nix::sys::signal::Signal;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::install::KubernetesPrograms;
use crate::pki::Pki;
use crate::probe::{Probe, provide_crypto};
use crate::server::{Launch, START_ATTEMPTS, Server, lost_a_port};
use crate::spawn::Program;
use crate::{Error, Result};

/// What Deployments and StatefulSets need to roll, namespaces to come and go, and service accounts to work.
const CONTROLLERS: &str = "deployment,replicaset,statefulset,namespace,serviceaccount,serviceaccount-token,\
                           garbagecollector,endpoint,endpointslice,root-ca-cert-publisher";
/// Services need addresses, though nothing routes them here.
const SERVICE_ADDRESSES: &str = "10.96.0.0/16";
/// The controllers make a namespace usable in about a second.
const SERVICE_ACCOUNT_WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The controller manager's unencrypted port was removed in this minor version, and its flag with it.
const MINOR_WITHOUT_INSECURE_PORT: u32 = 24;

/// How to start it.
pub struct Options {
    /// etcd, kube-apiserver, kube-controller-manager, from [`crate::install`].
    pub programs: KubernetesPrograms,
    /// Certificates, kubeconfigs, logs and data go here; created when missing.
    pub dir: PathBuf,
    /// Whether etcd waits for the disk.
    pub durability: Durability,
}

/// Whether etcd waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It does: the next start finds everything.
    Durable,
    /// It does not, and a stop is a kill: for tests.
    Volatile,
}

/// A running control plane.
pub struct ControlPlane {
    etcd: Server,
    apiserver: Server,
    controller_manager: Server,
    port: u16,
    dir: PathBuf,
    durability: Durability,
    client: Client,
}

impl ControlPlane {
    /// Starts all three and waits until a pod could be made in the namespace `default`: about five seconds.
    pub async fn start(options: Options) -> Result<Self> {
        std::fs::create_dir_all(&options.dir).map_err(Error::file("creating the folder", &options.dir))?;
        let dir = std::path::absolute(&options.dir).map_err(Error::file("finding", &options.dir))?;
        let pki = Pki::create_or_open(&dir.join("pki"))?;
        let plan = Plan { options: &options, dir: &dir, pki: &pki };
        let (etcd, [etcd_port, _]) = Server::start_on_free_ports(|ports| Ok(plan.etcd(ports))).await?;
        let (apiserver, port) = plan.start_apiserver(etcd_port).await?;
        let minor = minor_version(&options.programs.controller_manager).await?;
        let launch = |[port]: [u16; 1]| Ok(plan.controller_manager(port, minor));
        let (controller_manager, _) = Server::start_on_free_ports(launch).await?;
        let client = client(&plan.admin_kubeconfig()).await?;
        await_service_account(&client, "default").await?;
        let durability = options.durability;
        Ok(Self { etcd, apiserver, controller_manager, port, dir, durability, client })
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("admin.kubeconfig")
    }

    /// A client with the administrator's rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The API server's address.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Where certificates, kubeconfigs, logs and data are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Process ids of those that run: etcd, API server, controller manager.
    pub fn pids(&self) -> Vec<u32> {
        [&self.etcd, &self.apiserver, &self.controller_manager].into_iter().filter_map(Server::pid).collect()
    }

    /// Stops all three, in the order that lets each write its last words.
    pub async fn stop(&mut self) -> Result<()> {
        for server in [&mut self.controller_manager, &mut self.apiserver, &mut self.etcd] {
            match self.durability {
                Durability::Durable => server.stop().await?,
                Durability::Volatile => server.kill().await?,
            }
        }
        Ok(())
    }

    /// Starts all three again on the same ports and data.
    pub async fn restart(&mut self) -> Result<()> {
        for server in [&mut self.controller_manager, &mut self.apiserver, &mut self.etcd] {
            server.stop().await?;
        }
        for server in [&mut self.etcd, &mut self.apiserver, &mut self.controller_manager] {
            server.restart().await?;
        }
        Ok(())
    }
}

/// A client from a kubeconfig's current context.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    provide_crypto();
    let failed = |source| Error::Kubeconfig { path: kubeconfig.to_owned(), source };
    let parsed = Kubeconfig::read_from(kubeconfig).map_err(failed)?;
    let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await.map_err(failed)?;
    Client::try_from(config).map_err(Error::kubernetes("making a Kubernetes client"))
}

/// Waits until pods can be made in `namespace`: the API server refuses them before the controllers have made its
/// default service account.
pub async fn await_service_account(client: &Client, namespace: &str) -> Result<()> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    let deadline = Instant::now() + SERVICE_ACCOUNT_WITHIN;
    while !matches!(accounts.get_opt("default").await, Ok(Some(_))) {
        if Instant::now() > deadline {
            let what = format!("the default service account of namespace {namespace}");
            return Err(Error::Waited { what, within: SERVICE_ACCOUNT_WITHIN });
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Command lines of the three.
struct Plan<'a> {
    options: &'a Options,
    dir: &'a Path,
    pki: &'a Pki,
}

impl Plan<'_> {
    fn admin_kubeconfig(&self) -> PathBuf {
        self.dir.join("admin.kubeconfig")
    }

    /// The probe needs a client, a client its kubeconfig, and that the port: so ports are chosen here.
    async fn start_apiserver(&self, etcd_port: u16) -> Result<(Server, u16)> {
        let mut attempt = 1;
        loop {
            let [port] = crate::ports::free()?;
            self.pki.write_kubeconfigs(self.dir, port)?;
            let probe = Probe::Kubernetes(client(&self.admin_kubeconfig()).await?);
            match Server::start(self.apiserver(port, etcd_port, probe)).await {
                Ok(server) => return Ok((server, port)),
                Err(error) if attempt < START_ATTEMPTS && lost_a_port(&error) => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn etcd(&self, [client, peer]: [u16; 2]) -> Launch {
        let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let mut args = vec![
            format!("--data-dir={}/etcd", self.dir.display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
        ];
        if self.options.durability == Durability::Volatile {
            args.push("--unsafe-no-fsync".into());
        }
        self.launch("etcd", &self.options.programs.etcd, args, Probe::Http(format!("{client}/health")))
    }

    fn apiserver(&self, port: u16, etcd_port: u16, probe: Probe) -> Launch {
        let args = vec![
            format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
            "--bind-address=127.0.0.1".into(),
            "--advertise-address=127.0.0.1".into(),
            format!("--secure-port={port}"),
            // It would write 127.0.0.1 into the endpoints of the service kubernetes, which is refused.
            "--endpoint-reconciler-type=none".into(),
            format!("--cert-dir={}/apiserver", self.dir.display()),
            format!("--tls-cert-file={}", self.pki.file("server.crt")),
            format!("--tls-private-key-file={}", self.pki.file("server.key")),
            format!("--client-ca-file={}", self.pki.file("ca.crt")),
            "--authorization-mode=RBAC".into(),
            format!("--service-cluster-ip-range={SERVICE_ADDRESSES}"),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            format!("--service-account-key-file={}", self.pki.file("service-accounts.pub")),
            format!("--service-account-signing-key-file={}", self.pki.file("service-accounts.key")),
        ];
        self.launch("kube-apiserver", &self.options.programs.apiserver, args, probe)
    }

    fn controller_manager(&self, port: u16, minor: u32) -> Launch {
        let kubeconfig = self.dir.join("controller-manager.kubeconfig").display().to_string();
        let mut args = vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={port}"),
            "--leader-elect=false".into(),
            "--use-service-account-credentials=true".into(),
            format!("--service-account-private-key-file={}", self.pki.file("service-accounts.key")),
            format!("--root-ca-file={}", self.pki.file("ca.crt")),
            format!("--cert-dir={}/controller-manager", self.dir.display()),
            format!("--controllers={CONTROLLERS}"),
        ];
        if minor < MINOR_WITHOUT_INSECURE_PORT {
            args.push("--port=0".into());
        }
        self.launch("kube-controller-manager", &self.options.programs.controller_manager, args, Probe::Tcp(port))
    }

    fn launch(&self, name: &'static str, program: &Path, args: Vec<String>, probe: Probe) -> Launch {
        Launch {
            name,
            program: Program {
                path: program.to_owned(),
                args,
                dir: self.dir.to_owned(),
                user: None,
                orphan_signal: Signal::SIGTERM,
            },
            log: self.dir.join(format!("{name}.log")),
            probe,
            stop_signal: Signal::SIGTERM,
        }
    }
}

/// Reads `Kubernetes v1.20.2`.
async fn minor_version(program: &Path) -> Result<u32> {
    let run_error = |source| Error::Run { program: program.to_owned(), source };
    let output = Command::new(program).arg("--version").output().await.map_err(run_error)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split('.').nth(1).and_then(|minor| minor.parse().ok()).ok_or_else(|| Error::Failed {
        program: program.to_owned(),
        status: output.status,
        tail: format!("--version answered {text:?}"),
    })
}
