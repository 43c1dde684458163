-- Who owns an incident, and who acknowledged it until when: a document, as its newest fact tells it.

alter table incident_summary
    add column attendance text,
    add column attended_at timestamptz;

create or replace view incident_view as
select tenant, incident, title, severity, coalesce(phase, 'diagnosing') as phase, opened_at, closed_at, outcome, updated_at, follows,
    attendance
from incident_summary
where opened_at is not null;
