-- What every service remembers. The same tables and the same function stand in the schema of each service; names are not
-- qualified, because each service's connection sees its own schema and no other.
--
-- Times are given by the caller, never now(): tests and simulation own the clock.
-- Documents are json, not jsonb: text is kept as written, and jsonb would refuse the \u0000 that a label may carry.

create table entity (
    tenant text not null,
    id text not null,
    -- Set while the entity is open; at most one is open under a key. A key is made of labels and may be longer than an index
    -- entry, so what is unique is its digest.
    open_key text,
    open_digest text,
    revision bigint not null check (revision > 0),
    state json not null,
    updated_at timestamptz not null,
    primary key (tenant, id),
    check ((open_key is null) = (open_digest is null))
) with (fillfactor = 80);

create unique index entity_open on entity (tenant, open_digest) where open_digest is not null;

-- Messages that were handled. Kept for ever: a copy may be delivered at any time.
create table inbox (
    tenant text not null,
    message_id text not null,
    handled_at timestamptz not null,
    primary key (tenant, message_id)
);

-- What is owed to the outside. A row goes when it was published, or when the effect's outcome was handled.
-- lease_until: nobody else touches the row before. attempts counts claims and is the token of the lease.
create table outbox (
    tenant text not null,
    id text not null,
    entity text not null,
    seq bigint generated always as identity,
    kind text not null check (kind in ('publish', 'effect')),
    -- Of an effect: its name. Of a publication: its subject.
    target text not null,
    headers json,
    body bytea not null,
    trace text,
    attempts integer not null,
    lease_until timestamptz not null,
    created_at timestamptz not null,
    primary key (tenant, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create index outbox_claim on outbox (lease_until, seq);

create table timer (
    tenant text not null,
    entity text not null,
    name text not null,
    due_at timestamptz not null,
    trace text,
    lease_until timestamptz not null,
    primary key (tenant, entity, name)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create index timer_due on timer (due_at);

-- Commits one decision, whole or not at all, in one round trip. Raises PM001 when the race was lost: the entity is not as it was
-- read, or an input was handled by somebody else. Returns the ids of the outbox rows that are new.
create function commit_decision(
    p_tenant text,
    p_entity text,
    p_expected bigint,
    p_now timestamptz,
    p_replaces boolean,
    p_open_key text,
    p_open_digest text,
    p_state text,
    p_messages text[],
    p_fired_names text[],
    p_fired_dues timestamptz[],
    p_ended text[],
    p_timer_names text[],
    p_timer_dues timestamptz[],
    p_out_ids text[],
    p_out_kinds text[],
    p_out_targets text[],
    p_out_headers text[],
    p_out_bodies bytea[],
    p_trace text,
    p_lease_until timestamptz
) returns table (outbox_id text) language plpgsql as $$
declare
    v_revision bigint;
    v_count bigint;
begin
    select revision into v_revision from entity where tenant = p_tenant and id = p_entity for update;
    if v_revision is distinct from p_expected then
        raise exception 'entity changed' using errcode = 'PM001';
    end if;

    if p_replaces and p_expected is null then
        insert into entity (tenant, id, open_key, open_digest, revision, state, updated_at)
        values (p_tenant, p_entity, p_open_key, p_open_digest, 1, p_state::json, p_now)
        on conflict do nothing;
        if not found then
            raise exception 'entity exists, or another is open under its key' using errcode = 'PM001';
        end if;
    elsif p_replaces then
        update entity
        set open_key = p_open_key, open_digest = p_open_digest, revision = p_expected + 1, state = p_state::json, updated_at = p_now
        where tenant = p_tenant and id = p_entity;
    end if;

    if cardinality(p_messages) > 0 then
        -- In one order everywhere, so that two commits with common messages cannot block each other.
        insert into inbox (tenant, message_id, handled_at)
        select p_tenant, m, p_now from unnest(p_messages) as m order by m
        on conflict do nothing;
        get diagnostics v_count = row_count;
        if v_count <> cardinality(p_messages) then
            raise exception 'message was handled' using errcode = 'PM001';
        end if;
    end if;

    if cardinality(p_fired_names) > 0 then
        delete from timer t using unnest(p_fired_names, p_fired_dues) as f (name, due_at)
        where t.tenant = p_tenant and t.entity = p_entity and t.name = f.name and t.due_at = f.due_at;
        get diagnostics v_count = row_count;
        if v_count <> cardinality(p_fired_names) then
            raise exception 'timer was handled or moved' using errcode = 'PM001';
        end if;
    end if;

    if cardinality(p_ended) > 0 then
        delete from outbox o using unnest(p_ended) as e (id)
        where o.tenant = p_tenant and o.id = e.id and o.kind = 'effect';
        get diagnostics v_count = row_count;
        if v_count <> cardinality(p_ended) then
            raise exception 'outcome was handled' using errcode = 'PM001';
        end if;
    end if;

    if cardinality(p_timer_names) > 0 then
        delete from timer t using unnest(p_timer_names, p_timer_dues) as s (name, due_at)
        where t.tenant = p_tenant and t.entity = p_entity and t.name = s.name and s.due_at is null;
        insert into timer (tenant, entity, name, due_at, trace, lease_until)
        select p_tenant, p_entity, s.name, s.due_at, p_trace, 'epoch'
        from unnest(p_timer_names, p_timer_dues) as s (name, due_at) where s.due_at is not null
        on conflict (tenant, entity, name)
        do update set due_at = excluded.due_at, trace = excluded.trace, lease_until = excluded.lease_until;
    end if;

    if cardinality(p_out_ids) > 0 then
        return query
        insert into outbox (tenant, id, entity, kind, target, headers, body, trace, attempts, lease_until, created_at)
        select p_tenant, o.id, p_entity, o.kind, o.target, o.headers::json, o.body, p_trace, 1, p_lease_until, p_now
        from unnest(p_out_ids, p_out_kinds, p_out_targets, p_out_headers, p_out_bodies)
            with ordinality as o (id, kind, target, headers, body, place)
        order by o.place
        on conflict do nothing
        returning id;
    end if;
end $$;
