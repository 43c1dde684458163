//! The record is whole (P11), or the command says so: chains in a real database, tampered with by somebody who may do anything there.

use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use chrono::DateTime;
use incident::agent::Entity;
use incident::fact::{Fact, What};
use incident::id::TenantId;
use incident::record::{Head, Record};
use incident::task::Role;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use store::{Options, Outcome, Store, Write};
use testkit::{Database, Folder};

use crate::manifests::paramedic;

const PASSWORD: &str = "password-of-ledger-0123456789";
/// Records of each chain.
const RECORDS: u64 = 5;

/// A database with the ledger's schema, and the command's configuration.
struct Bed {
    database: Database,
    store: Store,
    admin: PgConnection,
    folder: Folder,
}

fn fact(tenant: &TenantId, n: u64) -> Result<Fact> {
    Ok(Fact {
        id: format!("monitoring/inc_1/{n}"),
        tenant: tenant.clone(),
        incident: "inc_1".parse()?,
        by: Role::Monitoring,
        at: DateTime::from_timestamp(1_795_000_000 + i64::try_from(n)?, 0).context("a time")?,
        what: What::Gap { reason: format!("reason {n}") },
    })
}

impl Bed {
    async fn new() -> Result<Self> {
        let database = testkit::postgres_database().await?;
        store::migrate(&database.url, &[(Role::Ledger, PASSWORD.to_owned())]).await?;
        let url = store::role_url(&database.url, Role::Ledger, PASSWORD)?;
        let store = Store::connect(&Options::new(url, Role::Ledger)).await?;
        let admin = PgConnection::connect(&database.url).await?;
        let folder = Folder::new()?;
        let config = format!("[nats]\n[database.passwords]\nledger = \"{PASSWORD}\"\n");
        std::fs::write(folder.join("paramedic.toml"), config)?;
        Ok(Self { database, store, admin, folder })
    }

    /// Writes a chain as the ledger does: each record in one commit with the head.
    async fn chain(&self, tenant: &str) -> Result<Head> {
        let (tenant, mut head) = (tenant.parse::<TenantId>()?, Head::default());
        for n in 1..=RECORDS {
            let record = head.append(fact(&tenant, n)?)?;
            let next = Entity { id: "chain".to_owned(), open_key: None, state: head.clone() };
            let write = Write::<Head, Value> {
                tenant: tenant.clone(),
                id: "chain".to_owned(),
                expected: (n > 1).then_some(n - 1),
                next: Some(next),
                handled: vec![],
                publications: vec![],
                effects: vec![],
                timers: vec![],
                now: record.fact.at,
                records: vec![record],
                rouses: false,
                trace: None,
                lease: std::time::Duration::from_secs(10),
            };
            ensure!(matches!(self.store.commit(&write).await?, Outcome::Done { .. }), "record {n} was not written");
        }
        Ok(head)
    }

    /// As the database's administrator, who stands above all grants.
    async fn tamper(&mut self, statements: &str) -> Result<()> {
        // Written here, by nobody else.
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut self.admin).await?;
        Ok(())
    }

    /// Puts a record where somebody likes to have one, all of its columns in keeping.
    async fn put(&mut self, tenant: &str, record: &Record) -> Result<()> {
        let (fact, seq) = (&record.fact, i64::try_from(record.seq)?);
        sqlx::query("delete from ledger.record where tenant = $1 and seq = $2")
            .bind(tenant)
            .bind(seq)
            .execute(&mut self.admin)
            .await?;
        let insert = "insert into ledger.record (tenant, seq, prev_hash, hash, fact_id, incident, at, kind, by_role, body)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::json)";
        let query = sqlx::query(insert).bind(tenant).bind(seq).bind(&record.previous.0).bind(&record.hash.0).bind(&fact.id);
        let query = query.bind(fact.incident.as_str()).bind(fact.at).bind(fact.what.kind()).bind(fact.by.as_str());
        query.bind(serde_json::to_string(fact)?).execute(&mut self.admin).await?;
        Ok(())
    }

    fn audit(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(paramedic()?);
        command.env_clear().env("DATABASE_URL", &self.database.url).arg("audit").args(arguments);
        Ok(command.arg("--config").arg(self.folder.join("paramedic.toml")).output()?)
    }

    /// What the command complains of; it must not be content.
    fn complaint(&self, arguments: &[&str]) -> Result<String> {
        let output = self.audit(arguments)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.code() == Some(1), "{arguments:?} ended with {}: {said}", output.status);
        Ok(String::from_utf8(output.stderr)?)
    }

    fn said(&self, arguments: &[&str]) -> Result<String> {
        let output = self.audit(arguments)?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}

#[tokio::test]
async fn every_kind_of_tampering_fails_the_command() -> Result<()> {
    let mut bed = Bed::new().await?;
    let of = |tenant: &str| format!("from ledger.record where tenant = '{tenant}'");
    let swap = |tenant: &str, from: u64, to: u64| {
        format!("update ledger.record set seq = {to} where tenant = '{tenant}' and seq = {from};")
    };
    let changed = "update ledger.record set body = replace(body::text, 'reason 3', 'nothing')::json
        where tenant = 'changed' and seq = 3";
    let reordered = [(2, 9), (3, 2), (9, 3)].map(|(from, to)| swap("reordered", from, to)).concat();
    for (tenant, statements, said) in [
        ("changed", changed.to_owned(), "record 3 was changed"),
        ("middle", format!("delete {} and seq = 3", of("middle")), "broken"),
        ("last", format!("delete {} and seq = 5", of("last")), "it ends at record 4, but the ledger has written 5"),
        ("emptied", format!("delete {}", of("emptied")), "it ends at record 0"),
        ("reordered", reordered, "broken"),
        (
            "forgotten",
            format!("delete {}; delete from ledger.entity where tenant = 'forgotten'", of("forgotten")),
            "has no audit chain",
        ),
    ] {
        bed.chain(tenant).await?;
        bed.said(&["verify", "--tenant", tenant])?;
        bed.tamper(&statements).await?;
        let complaint = bed.complaint(&["verify", "--tenant", tenant])?;
        ensure!(complaint.contains(said), "{tenant}: {complaint}");
        ensure!(
            bed.audit(&["export", "--tenant", tenant])?.status.code() == Some(1),
            "{tenant} was exported as if it were whole"
        );
    }
    let complaint = bed.complaint(&["verify", "--tenant", "mistyped"])?;
    ensure!(complaint.contains("tenant mistyped has no audit chain"), "{complaint}");
    Ok(())
}

#[tokio::test]
async fn records_that_only_fit_the_records_before_them_are_noticed() -> Result<()> {
    let mut bed = Bed::new().await?;
    let mut head = bed.chain("longer").await?;
    bed.put("longer", &head.append(fact(&"longer".parse()?, 6)?)?).await?;
    let complaint = bed.complaint(&["verify", "--tenant", "longer"])?;
    ensure!(complaint.contains("the ledger did not write record 6"), "{complaint}");

    bed.chain("forged").await?;
    let (tenant, mut head): (TenantId, _) = ("forged".parse()?, Head::default());
    for n in 1..RECORDS {
        head.append(fact(&tenant, n)?)?;
    }
    bed.put("forged", &head.append(fact(&tenant, 77)?)?).await?;
    let complaint = bed.complaint(&["verify", "--tenant", "forged"])?;
    ensure!(complaint.contains("record 5 is not the one that the ledger wrote"), "{complaint}");
    Ok(())
}

#[tokio::test]
async fn an_exported_chain_is_verified_offline() -> Result<()> {
    let bed = Bed::new().await?;
    let head = bed.chain("acme").await?.hash.0;
    let shown: Value = serde_json::from_str(&bed.said(&["verify", "--tenant", "acme", "--output", "json"])?)?;
    ensure!(shown == serde_json::json!({ "records": RECORDS, "head": head, "end_checked": true }), "{shown}");

    let exported = bed.said(&["export", "--tenant", "acme"])?;
    let path = bed.folder.join("audit.jsonl");
    let file = path.to_str().context("a path")?;
    std::fs::write(&path, &exported)?;
    ensure!(bed.said(&["verify", "--file", file])?.contains(&head), "the last hash is said");
    bed.said(&["verify", "--file", file, "--head", &head])?;

    let (cut, _) = exported.trim_end().rsplit_once('\n').context("several lines")?;
    std::fs::write(&path, cut)?;
    ensure!(bed.said(&["verify", "--file", file])?.contains("only --head"), "nobody shall take a cut chain for a whole one");
    ensure!(bed.complaint(&["verify", "--file", file, "--head", &head])?.contains("it ends at record 4"));
    std::fs::write(&path, exported.replacen("reason 2", "nothing", 1))?;
    ensure!(bed.complaint(&["verify", "--file", file])?.contains("record 2 was changed"));
    std::fs::write(&path, "")?;
    ensure!(bed.complaint(&["verify", "--file", file])?.contains("holds no records"));
    Ok(())
}
