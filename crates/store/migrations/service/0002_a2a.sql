-- Tasks of A2A, for services that host a task engine. `agent` tells the engines of one schema apart.
--
-- Keys compare by bytes (collate "C"): cheaper, and pages of a listing are cut the same way everywhere. Ids that we make begin with
-- the time, so that what is written together stands together in the indexes.

create table a2a_task (
    tenant text collate "C" not null,
    agent text collate "C" not null,
    id text collate "C" not null,
    -- The sender of the first message: nobody else sees the task.
    owner text collate "C" not null,
    context_id text collate "C" not null,
    state text not null,
    status_at timestamptz not null,
    -- Goes up with every write; a write names the one that it read.
    revision bigint not null check (revision > 0),
    -- Number of the last event. The document holds the events up to document_seq; later ones stand in a2a_event only, so that a task
    -- that grows piece by piece is not written anew with each piece.
    seq bigint not null,
    document_seq bigint not null,
    document json not null,
    -- Of the document as text: a page is cut by it without reading the documents.
    document_bytes integer not null,
    -- Messages that are yet to be worked on, and the process that does it.
    owed json,
    holder text collate "C",
    -- Goes up whenever a process begins to hold the task: what one says that held it before counts no more.
    turn integer not null,
    -- How often the work was begun: it begins anew when its process died. One that stopped in good order does not count.
    attempt integer not null,
    -- How many rows of a2a_push there are.
    pushes integer not null,
    primary key (tenant, agent, id),
    check (document_seq <= seq)
);

-- For listings: an owner's tasks, newest status first. The owner stands first, so that nobody plans to look up a single task here: as
-- long as Postgres knows nothing of the values, an index that begins like the primary key looks just as good.
create index a2a_task_listed on a2a_task (owner, tenant, agent, status_at, id);

-- For what a dead process left behind.
create index a2a_task_held on a2a_task (holder) where holder is not null;

-- Messages that were taken. Kept for ever: a copy may come at any time.
create table a2a_message (
    tenant text collate "C" not null,
    agent text collate "C" not null,
    sender text collate "C" not null,
    message_id text collate "C" not null,
    -- SHA-256 of the message: the same id with other content is refused.
    digest bytea not null,
    -- The task and its revision that took it, or the answer where there is no task.
    task_id text collate "C",
    revision bigint,
    reply json,
    primary key (tenant, agent, sender, message_id),
    check ((task_id is null) = (revision is null) and (task_id is null) <> (reply is null))
);

-- What happened to a task. One row holds the events of one write as an array; seq is the number of the last one.
create table a2a_event (
    tenant text collate "C" not null,
    agent text collate "C" not null,
    task_id text collate "C" not null,
    seq bigint not null,
    events json not null,
    -- Of the events as text, for the same purpose.
    bytes integer not null,
    primary key (tenant, agent, task_id, seq)
);

-- Where events are posted. cursor: the last event that arrived; wanted: the last one there is. due_at: when to go on; none if there
-- is nothing to do. While a process posts, due_at is the end of its lease, and lease, which counts claims, its token.
create table a2a_push (
    tenant text collate "C" not null,
    agent text collate "C" not null,
    task_id text collate "C" not null,
    id text collate "C" not null,
    config json not null,
    cursor bigint not null,
    wanted bigint not null,
    due_at timestamptz,
    lease bigint not null default 0,
    -- Failures in a row.
    attempts integer not null default 0,
    -- Set when it failed too often: nothing is posted any more.
    given_up_at timestamptz,
    primary key (tenant, agent, task_id, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- By tenant, because each of them gets its turn.
create index a2a_push_due on a2a_push (agent, tenant, due_at) where due_at is not null;

-- Processes that work on tasks. One that was silent until lease_until is dead: its tasks go to another. One row for a process, not
-- one for a task, so that work that takes its time costs nothing.
create table a2a_holder (
    id text collate "C" not null primary key,
    agent text collate "C" not null,
    lease_until timestamptz not null,
    -- It stopped in good order: that its work is begun again says nothing against the work.
    released boolean not null default false
);

-- Writes many tasks in one transaction. Each stands or falls alone: one that lost its race is named in the result, and the others are
-- written. expected 0 makes a task. A task that takes a message is written only if the message is new.
-- Returned are the places (from 1) of those that lost: to the same message ('message'), or to another writer of the task ('task').
--
-- Plans are kept for as long as a connection lives, and the first ones are made while the tables are small: so nothing here leaves a
-- choice between looking rows up by their keys and reading a whole table.
create function a2a_write(
    p_agent text,
    p_now timestamptz,
    p_tenants text[],
    p_ids text[],
    p_owners text[],
    p_contexts text[],
    p_expected bigint[],
    p_states text[],
    p_status_ats timestamptz[],
    p_seqs bigint[],
    p_documents text[],
    p_events text[],
    p_owed text[],
    p_holders text[],
    p_turns integer[],
    p_attempts integer[],
    p_pushes integer[],
    -- How many are new, how many take a message, and how many have events to post.
    p_new bigint,
    p_messages bigint,
    p_posts bigint,
    p_senders text[],
    p_message_ids text[],
    p_digests bytea[],
    p_push_ids text[],
    p_push_configs text[]
) returns table (place bigint, why text) language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    -- Places that lost to a message, and to another writer.
    v_known bigint[] := '{}';
    v_lost bigint[] := '{}';
    v_won bigint[];
    v_count bigint;
    v_item record;
begin
    if p_messages > p_new then
        -- A message to a task that is there: its row is locked before the message is written, because only both count.
        for v_item in
            select i.* from unnest(p_tenants, p_ids, p_expected, p_message_ids)
                with ordinality as i (tenant, id, expected, message_id, place)
            where i.expected > 0 and i.message_id is not null
            order by i.tenant, i.id
        loop
            perform from a2a_task t
            where t.tenant = v_item.tenant and t.agent = p_agent and t.id = v_item.id and t.revision = v_item.expected for update;
            if not found then
                v_lost := v_lost || v_item.place;
            end if;
        end loop;
    end if;

    if p_messages > 0 then
        -- In one order everywhere, so that two writes with common messages cannot block each other.
        insert into a2a_message (tenant, agent, sender, message_id, digest, task_id, revision)
        select i.tenant, p_agent, i.sender, i.message_id, i.digest, i.id, i.expected + 1
        from unnest(p_tenants, p_ids, p_expected, p_senders, p_message_ids, p_digests)
            with ordinality as i (tenant, id, expected, sender, message_id, digest, place)
        where i.message_id is not null and i.place <> all (v_lost)
        order by i.tenant, i.sender, i.message_id
        on conflict do nothing;
        get diagnostics v_count = row_count;
        if v_count < p_messages - cardinality(v_lost) then
            -- New is what this transaction has written: the same batch may have gone through before, without an answer.
            select coalesce(array_agg(i.place), '{}') into v_known
            from unnest(p_tenants, p_ids, p_senders, p_message_ids) with ordinality as i (tenant, id, sender, message_id, place)
            where i.message_id is not null and i.place <> all (v_lost) and (
                select m.task_id = i.id and m.xmin = pg_current_xact_id()::xid from a2a_message m
                where m.tenant = i.tenant and m.agent = p_agent and m.sender = i.sender and m.message_id = i.message_id
            ) is not true;
        end if;
    end if;

    if p_new > 0 then
        insert into a2a_task (
            tenant, agent, id, owner, context_id, state, status_at, revision, seq, document_seq, document, document_bytes, owed, holder, turn,
            attempt, pushes)
        select i.tenant, p_agent, i.id, i.owner, i.context_id, i.state, i.status_at, 1, i.seq, i.seq, i.document::json,
            octet_length(i.document), i.owed::json, i.holder, i.turn, i.attempt, i.pushes
        from unnest(
            p_tenants, p_ids, p_owners, p_contexts, p_expected, p_states, p_status_ats, p_seqs, p_documents, p_owed, p_holders, p_turns,
            p_attempts, p_pushes)
            with ordinality as i (
                tenant, id, owner, context_id, expected, state, status_at, seq, document, owed, holder, turn, attempt, pushes, place)
        where i.expected = 0 and i.place <> all (v_known);

        insert into a2a_push (tenant, agent, task_id, id, config, cursor, wanted)
        select i.tenant, p_agent, i.id, i.push_id, i.config::json, i.seq, i.seq
        from unnest(p_tenants, p_ids, p_expected, p_seqs, p_push_ids, p_push_configs)
            with ordinality as i (tenant, id, expected, seq, push_id, config, place)
        where i.push_id is not null and i.expected = 0 and i.place <> all (v_known);
    end if;

    if p_new < cardinality(p_ids) then
        -- Each row is found by its key, and then by its place: there is no other way to join the two.
        with item as materialized (
            select i.*, (select t.ctid from a2a_task t where t.tenant = i.tenant and t.agent = p_agent and t.id = i.id) as row
            from unnest(
                p_tenants, p_ids, p_expected, p_states, p_status_ats, p_seqs, p_documents, p_owed, p_holders, p_turns, p_attempts)
                with ordinality as i (tenant, id, expected, state, status_at, seq, document, owed, holder, turn, attempt, place)
            where i.expected > 0 and i.place <> all (v_known) and i.place <> all (v_lost)
        ), won as (
            update a2a_task t
            set state = i.state, status_at = i.status_at, revision = i.expected + 1, seq = i.seq,
                document_seq = case when i.document is null then t.document_seq else i.seq end,
                document = coalesce(i.document::json, t.document),
                document_bytes = coalesce(octet_length(i.document), t.document_bytes),
                owed = i.owed::json, holder = i.holder, turn = i.turn, attempt = i.attempt
            from item i
            where t.ctid = i.row and t.revision = i.expected
            returning i.place
        )
        select coalesce(array_agg(w.place), '{}') into v_won from won w;
        if cardinality(v_won) < cardinality(p_ids) - p_new - cardinality(v_lost) then
            select v_lost || coalesce(array_agg(i.place), '{}') into v_lost
            from unnest(p_expected) with ordinality as i (expected, place)
            where i.expected > 0 and i.place <> all (v_known) and i.place <> all (v_lost) and i.place <> all (v_won);
        end if;

        insert into a2a_event (tenant, agent, task_id, seq, events, bytes)
        select i.tenant, p_agent, i.id, i.seq, i.events::json, octet_length(i.events)
        from unnest(p_tenants, p_ids, p_seqs, p_events) with ordinality as i (tenant, id, seq, events, place)
        where i.events is not null and i.place <> all (v_known) and i.place <> all (v_lost);
    end if;

    if p_posts > 0 then
        for v_item in
            select i.* from unnest(p_tenants, p_ids, p_seqs, p_events, p_pushes)
                with ordinality as i (tenant, id, seq, events, pushes, place)
            where i.pushes > 0 and i.events is not null and i.place <> all (v_known) and i.place <> all (v_lost)
            order by i.tenant, i.id
        loop
            -- Whoever posts meanwhile reads `wanted` of this very row before it rests.
            update a2a_push p set wanted = v_item.seq, due_at = coalesce(p.due_at, p_now)
            where p.tenant = v_item.tenant and p.agent = p_agent and p.task_id = v_item.id and p.given_up_at is null;
        end loop;
    end if;

    return query
    select k.place, 'message' from unnest(v_known) as k (place)
    union all
    select l.place, 'task' from unnest(v_lost) as l (place);
end $$;

-- Sets one of a task's places to post to, beginning with the event after p_after (null: with what comes from now on). Answers what came
-- of it: 'done', 'missing' (no such task of this owner) or 'full'.
create function a2a_put_push(
    p_tenant text,
    p_agent text,
    p_task text,
    p_owner text,
    p_id text,
    p_config text,
    p_pushes_max integer,
    p_after bigint,
    p_now timestamptz
) returns text language plpgsql as $$
declare
    v_seq bigint;
    v_pushes integer;
    v_cursor bigint;
    v_due_at timestamptz;
begin
    select seq, pushes into v_seq, v_pushes from a2a_task
    where tenant = p_tenant and agent = p_agent and id = p_task and owner = p_owner for update;
    if not found then
        return 'missing';
    end if;
    -- The same again changes nothing: what is on its way still arrives.
    perform from a2a_push
    where tenant = p_tenant and agent = p_agent and task_id = p_task and id = p_id and config::text = p_config and given_up_at is null;
    if found then
        return 'done';
    end if;
    v_cursor := least(coalesce(p_after, v_seq), v_seq);
    v_due_at := case when v_cursor < v_seq then p_now end;
    update a2a_push
    set config = p_config::json, cursor = v_cursor, wanted = v_seq, due_at = v_due_at, lease = lease + 1, attempts = 0, given_up_at = null
    where tenant = p_tenant and agent = p_agent and task_id = p_task and id = p_id;
    if found then
        return 'done';
    end if;
    if v_pushes >= p_pushes_max then
        return 'full';
    end if;
    insert into a2a_push (tenant, agent, task_id, id, config, cursor, wanted, due_at)
    values (p_tenant, p_agent, p_task, p_id, p_config::json, v_cursor, v_seq, v_due_at);
    -- A new revision: whoever holds the task in memory must learn that its events are to be posted.
    update a2a_task set pushes = pushes + 1, revision = revision + 1 where tenant = p_tenant and agent = p_agent and id = p_task;
    return 'done';
end $$;

-- Ends one. Ending it again changes nothing. Answers whether the owner has such a task.
create function a2a_delete_push(p_tenant text, p_agent text, p_task text, p_owner text, p_id text) returns boolean language plpgsql as $$
begin
    perform from a2a_task where tenant = p_tenant and agent = p_agent and id = p_task and owner = p_owner for update;
    if not found then
        return false;
    end if;
    delete from a2a_push where tenant = p_tenant and agent = p_agent and task_id = p_task and id = p_id;
    if found then
        update a2a_task set pushes = pushes - 1, revision = revision + 1 where tenant = p_tenant and agent = p_agent and id = p_task;
    end if;
    return true;
end $$;
