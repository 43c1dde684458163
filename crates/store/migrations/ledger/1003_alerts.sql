-- What fired lately is asked for before it is silenced.
create index record_alerts on record (tenant, at desc) where kind = 'alert_changed';

create or replace view timeline_view as
select tenant, incident, seq, body, at, kind from record;
