//! `paramedic audit verify|export`. A chain is whole only if it reaches the very head that the ledger remembers beside it: records alone
//! cannot tell that their end was cut off.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use incident::id::TenantId;
use incident::record::{Head, Record};
use incident::task::Role;
use serde_json::json;
use store::{Options, Store};

use crate::args::{AuditCommand, Output};
use crate::output::{line, show};
use crate::running::{self, Server};

/// Records read at a time.
const PAGE: u32 = 500;

pub(crate) async fn run(command: AuditCommand) -> anyhow::Result<()> {
    match command {
        AuditCommand::Verify { file: Some(path), head, output, .. } => {
            let reached = verify_file(&path)?;
            compare(&path, &reached, head.as_deref())?;
            tell(output, &reached, head.is_some())
        }
        AuditCommand::Verify { config, tenant, file: None, output, .. } => {
            let reached = Chain::open(&config.config, &tenant).await?.walk(|_| Ok(())).await?;
            tell(output, &reached, true)
        }
        AuditCommand::Export { config, tenant } => {
            let chain = Chain::open(&config.config, &tenant).await?;
            let print = |record: &Record| {
                line(&serde_json::to_string(record)?);
                Ok(())
            };
            let Head { seq, hash } = chain.walk(print).await?;
            // Beside the export, not in it.
            let _ = writeln!(std::io::stderr(), "{seq} records. Keep this hash apart from them, for --head: {}", hash.0);
            Ok(())
        }
    }
}

fn tell(output: Output, head: &Head, is_end_known: bool) -> anyhow::Result<()> {
    let result = json!({ "records": head.seq, "head": head.hash, "end_checked": is_end_known });
    show(output, &result, |_| {
        let end = if is_end_known { "and none is missing" } else { "but only --head HASH can tell whether the end is missing" };
        format!("{} records, each as it was written and in its place, {end}. Last hash: {}", head.seq, head.hash.0)
    })
}

/// A tenant's chain in the ledger's database.
struct Chain {
    store: Store,
    tenant: TenantId,
}

impl Chain {
    async fn open(path: &Path, tenant: &str) -> anyhow::Result<Self> {
        let config = running::config(path, &[Server::Postgres])?;
        let tenant: TenantId = tenant.parse()?;
        let store = Store::connect(&Options::new(config.database_url(Role::Ledger)?, Role::Ledger)).await;
        let store =
            store.context("connecting to the ledger's database: is `paramedic up`, or the Postgres of DATABASE_URL, running?")?;
        Ok(Self { store, tenant })
    }

    /// Follows the chain to the ledger's head, however far that has moved meanwhile; every record that holds goes to `what`.
    async fn walk(&self, mut what: impl FnMut(&Record) -> anyhow::Result<()>) -> anyhow::Result<Head> {
        let mut reached = Head::default();
        loop {
            let head = self.head().await?;
            // Record and head are one commit, and the record that brought us here was seen before this head was read.
            ensure!(head.seq > reached.seq, "the audit chain is broken: the ledger did not write record {}", reached.seq + 1);
            while reached.seq < head.seq {
                let records = self.store.audit_records(&self.tenant, reached.seq + 1, PAGE).await?;
                let left = usize::try_from(head.seq - reached.seq)?;
                ensure!(
                    !records.is_empty(),
                    "the audit chain is broken: it ends at record {}, but the ledger has written {}: {left} were removed",
                    reached.seq,
                    head.seq
                );
                for record in records.iter().take(left) {
                    reached.follow(record).context("the audit chain is broken")?;
                    what(record)?;
                }
            }
            let at = reached.seq;
            ensure!(reached.hash == head.hash, "the audit chain is broken: record {at} is not the one that the ledger wrote");
            if self.store.audit_records(&self.tenant, reached.seq + 1, 1).await?.is_empty() {
                return Ok(reached);
            }
        }
    }

    async fn head(&self) -> anyhow::Result<Head> {
        let head = self.store.audit_head(&self.tenant).await?;
        let tenant = &self.tenant;
        head.with_context(|| format!("tenant {tenant} has no audit chain here: is that its name, and has it had an alert?"))
    }
}

fn verify_file(path: &Path) -> anyhow::Result<Head> {
    let file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut head = Head::default();
    for (number, text) in BufReader::new(file).lines().enumerate() {
        let record: Record = serde_json::from_str(&text?).with_context(|| format!("line {} is not a record", number + 1))?;
        head.follow(&record).with_context(|| format!("the chain in {} is broken", path.display()))?;
    }
    if head.seq == 0 {
        bail!("{} holds no records", path.display());
    }
    Ok(head)
}

fn compare(path: &Path, reached: &Head, expected: Option<&str>) -> anyhow::Result<()> {
    let Some(expected) = expected else { return Ok(()) };
    ensure!(
        reached.hash.0.eq_ignore_ascii_case(expected.trim()),
        "the chain in {} is not the one you know: it ends at record {} with {}, not with {expected}",
        path.display(),
        reached.seq,
        reached.hash.0
    );
    Ok(())
}
