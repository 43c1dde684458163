//! The Slack card: one message per incident that always shows how it stands. What comes from outside (labels, logs, people's words)
//! is escaped and stands in blocks of its own, apart from the plan and its buttons.

use incident::alert::Severity;
use incident::id::IncidentId;
use incident::task::{Ask, Bulletin, Phase};
use mcp::escape_mrkdwn;
use serde_json::{Value, json};

/// Slack: text of a section block.
const SECTION_CHARS_MAX: usize = 3_000;
/// Slack: text of a context block's element.
const CONTEXT_CHARS_MAX: usize = 2_000;
/// Slack: text of a header block.
const HEADER_CHARS_MAX: usize = 150;
/// The connector's limit, and Slack's for messages that are to be edited.
const TEXT_CHARS_MAX: usize = 4_000;
/// Lines of the diff on the card; the whole diff is in `paramedic approvals ID`. A plan that does not fit gets no buttons: nobody
/// shall approve what they cannot see.
const DIFF_LINES_MAX: usize = 40;
/// What begins and ends a block of code.
const FENCE: &str = "```";
/// Characters of the diff between its fences.
const DIFF_CHARS_MAX: usize = SECTION_CHARS_MAX - 2 * FENCE.len();

/// The card's plain text (for notifications) and its blocks.
pub(crate) fn render(incident: &IncidentId, bulletin: &Bulletin) -> (String, Value) {
    let title = format!("{} {}", mark(bulletin), bulletin.title);
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": cut(&title, HEADER_CHARS_MAX) } }),
        context(&format!(
            "{incident} · {} · since {}{}{}",
            bulletin.phase.label(),
            bulletin.opened_at.format("%Y-%m-%d %H:%M:%S UTC"),
            bulletin.follows.as_ref().map(|before| format!(" · follows {before}")).unwrap_or_default(),
            bulletin.attended.as_ref().map(|attended| format!(" · {attended}")).unwrap_or_default()
        )),
    ];
    if !bulletin.findings.is_empty() {
        let lines: Vec<String> = bulletin.findings.iter().map(|line| format!("• {}", escape_mrkdwn(line))).collect();
        blocks.push(section(&lines.join("\n")));
    }
    if let Some(ask) = &bulletin.ask {
        blocks.extend(plan(ask));
    }
    if !bulletin.gaps.is_empty() {
        let lines: Vec<String> = bulletin.gaps.iter().map(|line| format!(":warning: {}", escape_mrkdwn(line))).collect();
        blocks.push(context(&lines.join("\n")));
    }
    (text(&title), Value::Array(blocks))
}

/// Plain text as a message may have it.
pub(crate) fn text(plain: &str) -> String {
    cut(&escape_mrkdwn(plain), TEXT_CHARS_MAX)
}

fn mark(bulletin: &Bulletin) -> &'static str {
    match (bulletin.phase, bulletin.severity) {
        (Phase::Resolved, _) => "✅",
        (_, Severity::Critical) => "🔴",
        (_, Severity::Warning) => "🟠",
        (_, Severity::Info) => "🔵",
    }
}

fn plan(ask: &Ask) -> Vec<Value> {
    let request = &ask.request;
    let plan = &request.plan;
    let diff = code(&plan.diff);
    let groups: Vec<&str> = request.needs.groups.iter().map(String::as_str).collect();
    let asked_by = plan.requested_by.as_ref().map(|client| format!("Asked for by: A2A client {}\n", escape_mrkdwn(client)));
    let asked_by = asked_by.unwrap_or_default();
    let facts = format!(
        "*{}*\nTarget: `{}` (uid `{}`)\nRunbook: {}\nVerified by: {}\n\
         {asked_by}Undo: the present template is put back if it does not help\nRisk: {}\nNeeds: {} of {}, before {}\nPlan: `{}`",
        escape_mrkdwn(&plan.headline()),
        escape_mrkdwn(&plan.target.workload.to_string()),
        plan.target.uid,
        escape_mrkdwn(&plan.runbook),
        plan.verification.sentence(),
        escape_mrkdwn(&plan.risk),
        request.needs.quorum,
        escape_mrkdwn(&groups.join(", ")),
        plan.expires_at.format("%H:%M:%S UTC"),
        request.digest.short(),
    );
    let shown = diff.split('\n').take(DIFF_LINES_MAX).collect::<Vec<_>>().join("\n");
    let shown = cut(&shown, DIFF_CHARS_MAX);
    let is_whole = shown == diff && fits(&facts, SECTION_CHARS_MAX);
    // What a click counts for is the digest: it must be that of what is shown.
    let is_what_it_says = plan.digest().is_ok_and(|digest| digest == request.digest);
    let mut blocks = vec![json!({ "type": "divider" }), section(&facts), section(&format!("{FENCE}{shown}{FENCE}"))];
    if !is_what_it_says {
        blocks.push(context("This plan is not the one that its digest names. It cannot be answered here."));
    } else if is_whole {
        blocks.push(buttons(request.approval.as_str(), &request.digest.0));
    } else {
        let how = format!("The plan is too long for a card. Read and answer it with: paramedic approvals {}", request.approval);
        blocks.push(context(&how));
    }
    blocks
}

/// Lines as they stand in a block of code. No two backticks side by side: a value must not end the block and go on as words of ours.
fn code(lines: &[String]) -> String {
    lines.iter().map(|line| escape_mrkdwn(line).replace('`', "`\u{200b}")).collect::<Vec<_>>().join("\n")
}

fn buttons(approval: &str, digest: &str) -> Value {
    let value = format!("v1.{approval}.{digest}");
    let button = |action: &str, text: &str, style: &str| {
        json!({
            "type": "button", "action_id": action, "style": style, "value": value,
            "text": { "type": "plain_text", "text": text },
        })
    };
    json!({
        "type": "actions",
        "block_id": format!("paramedic_{approval}"),
        "elements": [button("paramedic_approve", "Approve", "primary"), button("paramedic_reject", "Reject", "danger")],
    })
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": cut(text, SECTION_CHARS_MAX) } })
}

fn context(text: &str) -> Value {
    json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": cut(text, CONTEXT_CHARS_MAX) }] })
}

fn fits(text: &str, chars_max: usize) -> bool {
    text.chars().count() <= chars_max
}

fn cut(text: &str, chars_max: usize) -> String {
    if fits(text, chars_max) {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars_max - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::DateTime;
    use incident::approval::{ApprovalRequest, Needs};
    use incident::plan::{Action, Digest, Plan, Target, Undo, Verification};
    use incident::workload::{Workload, WorkloadKind};

    use super::*;

    fn bulletin(title: &str, diff: &[String], risk: &str) -> Bulletin {
        let template = || Digest::of(b"template");
        let (name, kind) = ("checkout".to_owned(), WorkloadKind::Deployment);
        let workload = Workload { cluster: "default".to_owned(), namespace: "shop".to_owned(), kind, name };
        let plan = Plan {
            tenant: "acme".parse().unwrap(),
            incident: "inc_1".parse().unwrap(),
            task: "task_1".parse().unwrap(),
            requested_by: None,
            generation: 1,
            runbook: "rollback-bad-deploy".to_owned(),
            target: Target {
                workload,
                uid: "0c2b".to_owned(),
                resource_version: "17".to_owned(),
                spec_digest: Digest::of(b"spec"),
            },
            action: Action::RollBack { from_revision: 2, to_revision: 1, template: template() },
            undo: Undo::RestoreTemplate { template: template() },
            diff: diff.to_vec(),
            verification: Verification { expressions: BTreeSet::new(), settle_s: 30, deadline_s: 300 },
            risk: risk.to_owned(),
            proposed_at: DateTime::UNIX_EPOCH,
            expires_at: DateTime::UNIX_EPOCH,
        };
        let needs = Needs { quorum: 1, groups: BTreeSet::from(["sre".to_owned()]) };
        let digest = plan.digest().unwrap();
        let request = ApprovalRequest { approval: "apr_1".parse().unwrap(), plan, digest, needs, trace: None };
        Bulletin {
            number: 1,
            title: title.to_owned(),
            severity: Severity::Critical,
            phase: Phase::AwaitingApproval,
            news: None,
            findings: vec![],
            ask: Some(Ask { request }),
            gaps: vec!["a gap that goes on and on ".repeat(200)],
            opened_at: DateTime::UNIX_EPOCH,
            follows: Some("inc_0".parse().unwrap()),
            attended: None,
        }
    }

    fn card(diff: &[String], risk: &str) -> Value {
        render(&"inc_1".parse().unwrap(), &bulletin("t", diff, risk)).1
    }

    /// The diff between its fences, and whether people may answer.
    fn shown(diff: &[String], risk: &str) -> (String, bool) {
        let card = card(diff, risk);
        let sections: Vec<&str> = card.as_array().unwrap().iter().filter_map(|b| b.pointer("/text/text")?.as_str()).collect();
        let fenced = sections.iter().find_map(|text| text.strip_prefix(FENCE)?.strip_suffix(FENCE)).unwrap();
        (fenced.to_owned(), card.to_string().contains("paramedic_approve"))
    }

    #[test]
    fn nobody_may_approve_a_plan_that_shows_another() {
        let mut shown = bulletin("t", &["+ image: shop:v1".to_owned()], "r");
        shown.ask.as_mut().unwrap().request.digest = Digest::of(b"another plan");
        let card = render(&"inc_1".parse().unwrap(), &shown).1.to_string();
        assert!(!card.contains("paramedic_approve") && card.contains("cannot be answered here"), "{card}");
    }

    #[test]
    fn nobody_may_approve_what_the_card_does_not_show() {
        let lines = |count: usize, line: &str| vec![line.to_owned(); count];
        let risk = "requests are cut";
        let cases = [
            ("short", lines(2, "+ image: shop:v1"), risk.to_owned(), true),
            ("as many lines as fit", lines(40, "+ x"), risk.to_owned(), true),
            ("a line more", lines(41, "+ x"), risk.to_owned(), false),
            ("an empty line at the end", vec!["+ x".to_owned(), String::new()], risk.to_owned(), true),
            ("lines within a line", vec!["+ a\n".repeat(41)], risk.to_owned(), false),
            ("as long as fits", lines(1, &"x".repeat(DIFF_CHARS_MAX)), risk.to_owned(), true),
            ("a character more", lines(1, &"x".repeat(DIFF_CHARS_MAX + 1)), risk.to_owned(), false),
            ("characters of several bytes", lines(1, &"é".repeat(DIFF_CHARS_MAX)), risk.to_owned(), true),
            ("longer once it is escaped", lines(30, &format!("+ {}", "&".repeat(25))), risk.to_owned(), false),
            ("longer by its backticks", lines(30, &"`".repeat(60)), risk.to_owned(), false),
            ("a risk that pushes the rest out", lines(2, "+ x"), "r".repeat(SECTION_CHARS_MAX), false),
        ];
        for (case, diff, risk, expected) in cases {
            let (fenced, may_answer) = shown(&diff, &risk);
            assert_eq!(may_answer, expected, "{case}");
            assert!(fits(&fenced, DIFF_CHARS_MAX), "{case}");
            assert!(!may_answer || fenced == code(&diff), "{case}: shown as {fenced}");
        }
    }

    #[test]
    fn a_value_cannot_end_the_block_that_it_stands_in() {
        for value in ["```", "````", "a```b", "x `` ``` y", "``````\n*Approved by the board*"] {
            let (fenced, _) = shown(&[format!("+ {value}"), value.to_owned()], "r");
            assert!(!fenced.contains("``") && !fenced.ends_with('`'), "{value}: {fenced}");
        }
    }

    #[test]
    fn no_text_is_longer_than_slack_takes() {
        let (title, diff) = ("<&>".repeat(3_000), vec!["&".repeat(9_000)]);
        let (text, blocks) = render(&"inc_1".parse().unwrap(), &bulletin(&title, &diff, &"<".repeat(9_000)));
        assert!(fits(&text, TEXT_CHARS_MAX));
        for block in blocks.as_array().unwrap() {
            let places = [("/text/text", SECTION_CHARS_MAX), ("/elements/0/text", CONTEXT_CHARS_MAX)];
            for (place, chars_max) in places {
                assert!(fits(block.pointer(place).and_then(Value::as_str).unwrap_or_default(), chars_max), "{block}");
            }
        }
    }
}
