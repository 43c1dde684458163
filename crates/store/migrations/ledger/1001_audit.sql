-- What only the ledger remembers. Its versions start at 1000: they share a list with those of every service.

-- The audit chain. The ledger's role may insert and select, not change: see provision.sql.
create table record (
    tenant text not null,
    seq bigint not null check (seq > 0),
    prev_hash text not null,
    hash text not null,
    fact_id text not null,
    incident text not null,
    at timestamptz not null,
    kind text not null,
    by_role text not null,
    -- The fact exactly as it was hashed.
    body json not null,
    primary key (tenant, seq),
    unique (tenant, fact_id)
);

create index record_timeline on record (tenant, incident, seq);

-- How each incident stands, as its facts tell. What is not known yet is null: facts may come out of order.
create table incident_summary (
    tenant text not null,
    incident text not null,
    title text,
    severity text,
    phase text,
    phase_at timestamptz,
    opened_at timestamptz,
    closed_at timestamptz,
    outcome text,
    updated_at timestamptz not null,
    primary key (tenant, incident)
) with (fillfactor = 80);

create index incident_summary_newest on incident_summary (tenant, opened_at desc, incident desc);

-- The gateway reads these two, and nothing else here.
create view incident_view as
select tenant, incident, title, severity, coalesce(phase, 'diagnosing') as phase, opened_at, closed_at, outcome, updated_at
from incident_summary
where opened_at is not null;

create view timeline_view as
select tenant, incident, seq, body from record;
