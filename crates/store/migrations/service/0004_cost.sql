-- What a commit costs, which is what everybody waits for.

-- States and bodies of some kilobytes are written often and read soon. Compressing them, and cutting them to pieces in a table of their own,
-- was half of the work. What does not fit on a page still goes there.
alter table entity set (toast_tuple_target = 8160);
alter table outbox set (toast_tuple_target = 8160);

-- Commits one decision, whole or not at all, in one round trip. Raises PM001 when the race was lost: the entity is not as it was
-- read, or an input was handled by somebody else. Returns the ids of the outbox rows that are new.
--
-- Each statement costs some 50 microseconds, so none runs that has nothing to do. Plans are made while the tables are small, and kept:
-- rows are found one by one; a join, or a list of ids, could be planned as reading all that the tenant has.
create or replace function commit_decision(
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
    p_ended_claims integer[],
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
    if p_replaces and p_expected is null then
        insert into entity (tenant, id, open_key, open_digest, revision, state, updated_at)
        values (p_tenant, p_entity, p_open_key, p_open_digest, 1, p_state::json, p_now)
        on conflict do nothing;
        if not found then
            raise exception 'entity exists, or another is open under its key' using errcode = 'PM001';
        end if;
    elsif p_replaces then
        update entity
        set open_key = p_open_key, open_digest = p_open_digest, revision = p_expected + 1, state = p_state::json, updated_at = p_now,
            past_digest = case when p_open_digest is null then coalesce(open_digest, past_digest) else past_digest end
        where tenant = p_tenant and id = p_entity and revision = p_expected;
        if not found then
            raise exception 'entity changed' using errcode = 'PM001';
        end if;
    else
        select revision into v_revision from entity where tenant = p_tenant and id = p_entity for update;
        if v_revision is distinct from p_expected then
            raise exception 'entity changed' using errcode = 'PM001';
        end if;
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
        -- Who claims it meanwhile is seen by the row itself, not by its place.
        delete from outbox o
        where o.kind = 'effect' and o.attempts = p_ended_claims[array_position(p_ended, o.id)] and o.ctid = any(array(
            select (select k.ctid from outbox k where k.tenant = p_tenant and k.id = e.id) from unnest(p_ended) as e (id)
        ));
        get diagnostics v_count = row_count;
        if v_count <> cardinality(p_ended) then
            raise exception 'outcome was handled, or the effect is claimed by another' using errcode = 'PM001';
        end if;
    end if;

    if cardinality(p_timer_names) > 0 then
        if array_position(p_timer_dues, null) is not null then
            delete from timer t using unnest(p_timer_names, p_timer_dues) as s (name, due_at)
            where t.tenant = p_tenant and t.entity = p_entity and t.name = s.name and s.due_at is null;
        end if;
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
