-- Functions of one session that prepare schema, login and grants of one service. Names and passwords are arguments, quoted here
-- by format(), so that no statement is ever put together outside of the database.

create or replace function pg_temp.prepare(p_login text, p_schema text, p_password text) returns void language plpgsql as $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = p_login) then
        execute format('create role %I', p_login);
    end if;
    execute format('alter role %I with login password %L', p_login, p_password);
    execute format('create schema if not exists %I', p_schema);
end $$;

-- Least privilege: use of the own schema and its rows; no table is the role's own, so it cannot change or drop one.
create or replace function pg_temp.permit(p_login text, p_schema text) returns void language plpgsql as $$
begin
    execute format('revoke all on schema %I from public', p_schema);
    execute format('revoke all on schema %I from %I', p_schema, p_login);
    execute format('revoke all on all tables in schema %I from %I', p_schema, p_login);
    -- Everybody may create temporary tables by default, which could stand before our own.
    execute format('revoke temporary on database %I from public', current_database());
    execute format('grant connect on database %I to %I', current_database(), p_login);
    execute format('grant usage on schema %I to %I', p_schema, p_login);
    execute format('grant select on %I.migration to %I', p_schema, p_login);
    execute format('grant select, insert, update, delete on %1$I.entity, %1$I.outbox, %1$I.timer to %2$I', p_schema, p_login);
    execute format('grant select, insert, update, delete on %1$I.a2a_push, %1$I.a2a_holder to %2$I', p_schema, p_login);
    execute format('grant select, insert, update on %I.a2a_task to %I', p_schema, p_login);
    -- The inbox is never forgotten, and neither is what was sent to a task and what happened to it.
    execute format('grant select, insert on %1$I.inbox, %1$I.a2a_message, %1$I.a2a_event to %2$I', p_schema, p_login);
    if p_schema = 'ledger' then
        -- The chain is only added to.
        execute format('grant select, insert on ledger.record to %I', p_login);
        execute format('grant select, insert, update on ledger.incident_summary to %I', p_login);
        execute format('grant select on ledger.incident_view, ledger.timeline_view to %I', p_login);
    end if;
end $$;

-- The one exception to "none reads another's tables": the page and the API show the ledger's views.
create or replace function pg_temp.permit_reader(p_login text) returns void language plpgsql as $$
begin
    execute format('grant usage on schema ledger to %I', p_login);
    execute format('grant select on ledger.incident_view, ledger.timeline_view to %I', p_login);
end $$;
