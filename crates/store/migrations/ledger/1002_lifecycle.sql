-- An incident may be opened again, may become worse or better, and may follow one that ended before.

alter table incident_summary
    add column follows text,
    add column severity_at timestamptz,
    -- When it was closed or opened again last: which of the two is told by closed_at.
    add column ended_at timestamptz;

create or replace view incident_view as
select tenant, incident, title, severity, coalesce(phase, 'diagnosing') as phase, opened_at, closed_at, outcome, updated_at, follows
from incident_summary
where opened_at is not null;
