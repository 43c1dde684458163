//! Listing an owner's tasks by pages that stay right while tasks change: a page goes on after a task, not after a number of tasks.

use chrono::{DateTime, Utc};

use super::TaskRow;
use super::read::task_columns;
use crate::{Store, StoreError};

/// Which tasks. All that is set must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Whose.
    pub tenant: String,
    /// Who asks.
    pub owner: String,
    /// Only tasks of this context.
    pub context_id: Option<String>,
    /// Only tasks in this state, by its name on the wire.
    pub state: Option<&'static str>,
    /// Only tasks whose status is not older.
    pub since: Option<DateTime<Utc>>,
}

/// Where a task stands in the listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// When its status was set.
    pub status_at: DateTime<Utc>,
    /// Its id.
    pub id: String,
}

/// One page.
#[derive(Debug)]
pub struct ListedTasks {
    /// The tasks, newest status first.
    pub rows: Vec<TaskRow>,
    /// Whether more come after them.
    pub has_more: bool,
    /// How many there are on all pages.
    pub total: u64,
}

/// How much is on a page.
#[derive(Debug, Clone, Copy)]
pub struct PageSize {
    /// At most so many tasks.
    pub tasks: u32,
    /// No further task after so many bytes.
    pub bytes: u32,
}

#[derive(sqlx::FromRow)]
struct ListedRow {
    #[sqlx(flatten)]
    task: TaskRow,
    /// How many tasks come after the place of the page before, but not more than one more than the page may have.
    found: i64,
}

// The bounds are of the index: nothing but the page is read, and of what is cut off no document, because large ones stand beside the
// rows. The count has the same filters without the page's place.
const LIST: &str = concat!(
    "
    select ",
    task_columns!(),
    ", t.found from (
        select n.*, count(*) over () as found, row_number() over newest as place,
            sum(n.document_bytes) over newest - n.document_bytes as bytes_before
        from (
            select * from a2a_task t
            where t.tenant = $1 and t.agent = $2 and t.owner = $3 and t.status_at >= coalesce($4, '-infinity'::timestamptz)
                and ($5::text is null or t.context_id = $5) and ($6::text is null or t.state = $6)
                and (t.status_at, t.id) < (coalesce($7, 'infinity'::timestamptz), coalesce($8, ''))
            order by t.status_at desc, t.id desc limit $9 + 1
        ) as n
        window newest as (order by n.status_at desc, n.id desc)
    ) as t
    where t.place <= $9 and t.bytes_before < $10 order by t.status_at desc, t.id desc"
);

const COUNT: &str = "
    select count(*) from a2a_task t
    where t.tenant = $1 and t.agent = $2 and t.owner = $3 and t.status_at >= coalesce($4, '-infinity'::timestamptz)
        and ($5::text is null or t.context_id = $5) and ($6::text is null or t.state = $6)";

impl Store {
    /// One page: tasks after the place of the page before, at least one if there is one.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn list_tasks(
        &self,
        agent: &str,
        filter: &Filter,
        after: Option<&Place>,
        size: PageSize,
    ) -> Result<ListedTasks, StoreError> {
        let count = sqlx::query_scalar(COUNT).bind(&filter.tenant).bind(agent).bind(&filter.owner);
        let count = count.bind(filter.since).bind(&filter.context_id).bind(filter.state);
        let list = sqlx::query_as(LIST).bind(&filter.tenant).bind(agent).bind(&filter.owner);
        let list = list.bind(filter.since).bind(&filter.context_id).bind(filter.state);
        let list = list.bind(after.map(|place| place.status_at)).bind(after.map(|place| place.id.as_str()));
        let list = list.bind(i64::from(size.tasks)).bind(i64::from(size.bytes));
        let work = async |c: &mut sqlx::PgConnection| {
            let total: i64 = count.fetch_one(&mut *c).await?;
            let rows: Vec<ListedRow> = list.fetch_all(c).await?;
            let found = rows.first().map_or(0, |row| row.found);
            let has_more = usize::try_from(found).is_ok_and(|found| found > rows.len());
            let rows = rows.into_iter().map(|row| row.task).collect();
            Ok(ListedTasks { rows, has_more, total: total.unsigned_abs() })
        };
        self.run("a2a-list", work).await
    }
}
