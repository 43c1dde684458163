//! What the program rests on, taken down and up again.

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream;
use tokio::process::Command;

use super::{Pipeline, Postgres, until};

impl Pipeline {
    /// Takes the bus down and starts it again, on the same port and store.
    pub(crate) async fn restart_nats(&mut self) -> Result<()> {
        self.nats.server().restart().await.context("restarting NATS")
    }

    /// Takes the bus down.
    pub(crate) async fn stop_nats(&mut self) -> Result<()> {
        self.nats.server().stop().await.context("stopping NATS")
    }

    /// Ends the bus as a crash would; of a cluster the server that leads what agents say to each other. Gives its name.
    pub(crate) async fn kill_nats(&mut self) -> Result<Option<String>> {
        if !self.options.nats_cluster {
            self.nats.server().kill().await.context("killing NATS")?;
            return Ok(None);
        }
        let leader = self.leader().await?;
        self.nats.node(&leader)?.kill().await.context("killing the leader")?;
        Ok(Some(leader))
    }

    /// Starts what was killed, on the same port and store.
    pub(crate) async fn start_nats(&mut self, name: Option<&str>) -> Result<()> {
        let server = match name {
            Some(name) => self.nats.node(name)?,
            None => self.nats.server(),
        };
        server.restart().await.context("starting NATS again")
    }

    async fn leader(&self) -> Result<String> {
        let context = jetstream::new(self.admin().await?);
        until("a leader of the stream A2A", async || {
            let stream = context.get_stream("A2A").await?;
            let cluster = stream.cached_info().cluster.clone().context("a stream of a cluster says so")?;
            ensure!(cluster.replicas.len() == 2, "the stream has {} copies besides the leader's", cluster.replicas.len());
            cluster.leader.context("nobody leads")
        })
        .await
    }

    /// From now on no file of the bus can grow, as on a disk that is full.
    pub(crate) async fn fill_nats(&mut self) -> Result<()> {
        self.limit_nats("1").await
    }

    /// There is room again. A server that could not write a stream refuses it until it is started anew, which is what its `/healthz` is
    /// watched for.
    pub(crate) async fn empty_nats(&mut self) -> Result<()> {
        self.limit_nats("unlimited").await?;
        self.restart_nats().await
    }

    /// Limits the size of the files that the bus writes, in bytes.
    async fn limit_nats(&mut self, bytes: &str) -> Result<()> {
        let pid = self.nats.server().pid().context("the bus does not run")?;
        let mut command = Command::new("prlimit");
        command.arg("--pid").arg(pid.to_string()).arg(format!("--fsize={bytes}:"));
        let output = command.output().await.context("running prlimit, which is part of util-linux")?;
        ensure!(output.status.success(), "prlimit: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Takes the private Postgres down and starts it again.
    pub(crate) async fn restart_postgres(&mut self) -> Result<()> {
        self.private_postgres()?.server().restart().await.context("restarting Postgres")
    }

    /// Ends the private Postgres as a crash would.
    pub(crate) async fn kill_postgres(&mut self) -> Result<()> {
        self.private_postgres()?.server().kill().await.context("killing Postgres")
    }

    fn private_postgres(&mut self) -> Result<&mut testkit::PrivatePostgres> {
        match &mut self.postgres {
            Postgres::Private(server) => Ok(server),
            Postgres::Shared(_) => anyhow::bail!("only a private Postgres may be taken down"),
        }
    }
}
