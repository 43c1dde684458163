//! The documentation says what is true: examples parse, commands, metrics and errors exist, links lead somewhere.

use std::path::Path;

use serde::Deserialize as _;

use super::{files, none, paramedic, read, root};

/// Pages that somebody reads at night end before they are tired.
const LINES_MAX: [(&str, usize); 2] = [("README.md", 250), ("ARCHITECTURE.md", 200)];
/// Nobody listens there: `up` writes its first configuration and then ends.
const NOWHERE: [(&str, &str); 2] = [("NATS_URL", "nats://127.0.0.1:9"), ("DATABASE_URL", "postgres://nobody@127.0.0.1:9/none")];

/// A fenced block of a page.
pub(super) struct Block {
    /// What stands after the fence.
    pub(super) language: String,
    /// What stands in it.
    pub(super) text: String,
    /// Line of the fence, from 1.
    pub(super) line: usize,
}

/// All fenced blocks of a page.
pub(super) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = vec![];
    let mut open: Option<Block> = None;
    for (n, line) in page.lines().enumerate() {
        match (open.as_mut(), line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block { language: language.trim().to_owned(), text: String::new(), line: n + 1 });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is never closed");
    blocks
}

fn pages() -> Vec<String> {
    let pages = files("", ".md");
    assert!(pages.contains(&"README.md".to_owned()) && pages.contains(&"ARCHITECTURE.md".to_owned()));
    pages
}

#[test]
fn pages_end_before_their_readers_do() {
    for (page, lines_max) in LINES_MAX {
        let lines = read(page).lines().count();
        assert!(lines <= lines_max, "{page} has {lines} lines; {lines_max} are enough");
    }
}

#[test]
fn every_example_parses() {
    let mut broken = vec![];
    for page in pages() {
        for block in blocks(&read(&page)) {
            let result = match block.language.as_str() {
                "toml" => block.text.parse::<toml::Table>().map(drop).map_err(|error| error.to_string()),
                "json" => serde_json::from_str::<serde_json::Value>(&block.text).map(drop).map_err(|error| error.to_string()),
                "yaml" => yaml(&block.text),
                "" => Err("say what language it is".to_owned()),
                _ => Ok(()),
            };
            broken.extend(result.err().map(|error| format!("{page}:{}: {error}", block.line)));
        }
    }
    none("an example does not parse", &broken);
}

fn yaml(text: &str) -> Result<(), String> {
    let mut documents = serde_yaml_ng::Deserializer::from_str(text);
    documents.try_for_each(|document| serde_yaml_ng::Value::deserialize(document).map(drop)).map_err(|error| error.to_string())
}

/// What a reader does: takes the file that `up` wrote, and adds the block to it.
#[test]
fn every_configuration_in_the_readme_is_valid_on_top_of_the_first_one() {
    let home = tempfile::tempdir().unwrap();
    let first = paramedic(&["up", "--listen", "127.0.0.1:0", "--home", home.path().to_str().unwrap()], &NOWHERE);
    assert!(!first.status.success(), "nobody listens there, so nothing can have started");
    let path = home.path().join("paramedic.toml");
    let first = std::fs::read_to_string(&path).expect("the first configuration");
    let blocks_of = |page: &str| blocks(page);
    let blocks: Vec<Block> = blocks(&read("README.md")).into_iter().filter(|block| block.language == "toml").collect();
    assert!(blocks.len() >= 4, "the README shows how Slack, Jira, Kubernetes and Prometheus are connected");
    let mut all = first.clone();
    for block in &blocks {
        check(&path, &format!("{first}\n{}", block.text), block.line);
        all = format!("{all}\n{}", block.text);
    }
    check(&path, &all, 0);
    // Pages that go further show one thing at a time; files that they name lie beside them.
    std::fs::copy(root().join("docs/topology.yaml"), home.path().join("topology.yaml")).unwrap();
    for page in files("docs", ".md") {
        for block in blocks_of(&read(&page)).into_iter().filter(|block| block.language == "toml") {
            check(&path, &format!("{first}\n{}", block.text), block.line);
        }
    }
    let wrong = format!("{first}\n[tenants.local.slakc]\nchannel = \"C0\"\n");
    std::fs::write(&path, wrong).unwrap();
    assert!(
        !paramedic(&["config", "check", "--config", path.to_str().unwrap()], &[]).status.success(),
        "a mistyped key must be refused"
    );
}

fn check(path: &Path, text: &str, line: usize) {
    std::fs::write(path, text).unwrap();
    let checked = paramedic(&["config", "check", "--config", path.to_str().unwrap()], &[]);
    assert!(checked.status.success(), "README.md:{line}: {}", String::from_utf8_lossy(&checked.stderr));
}

/// In `console` blocks, what follows a prompt is a command; its words before the first argument must be known.
#[test]
fn every_command_that_is_shown_exists() {
    let makefile = read("Makefile");
    let (mut broken, mut shown) = (vec![], 0);
    for page in pages() {
        for block in blocks(&read(&page)).iter().filter(|block| block.language == "console") {
            for command in block.text.lines().filter_map(|line| line.strip_prefix("$ ")) {
                shown += 1;
                broken.extend(unknown(command, &makefile).map(|why| format!("{page}:{}: {command}: {why}", block.line)));
            }
        }
    }
    assert!(shown >= 10, "only {shown} commands are shown");
    none("a command does not exist", &broken);
}

fn unknown(command: &str, makefile: &str) -> Option<String> {
    let is_part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_word = |word: &&str| word.bytes().all(is_part) && !word.starts_with('-');
    let mut words = command.split_whitespace().skip_while(|word| word.contains('='));
    match words.next()? {
        "make" => {
            let target = words.next().unwrap_or_default();
            (!makefile.contains(&format!("\n{target}:"))).then(|| format!("the Makefile has no {target}"))
        }
        "paramedic" => {
            let rest: Vec<&str> = words.collect();
            let named: Vec<&str> = rest.iter().copied().take_while(is_word).collect();
            let help = paramedic(&[named.as_slice(), &["--help"]].concat(), &[]);
            let text = String::from_utf8_lossy(&help.stdout).into_owned();
            let options = rest.iter().filter(|word| word.starts_with("--")).map(|word| word.split('=').next().unwrap_or(word));
            let missing = options.into_iter().find(|option| !text.contains(*option)).map(|option| format!("no option {option}"));
            if help.status.success() { missing } else { Some(String::from_utf8_lossy(&help.stderr).into_owned()) }
        }
        _ => None,
    }
}

#[test]
fn every_metric_that_is_named_exists() {
    let code: String = files("", ".rs").iter().filter(|path| path.contains("/src/")).map(|path| read(path)).collect();
    let readme = read("README.md");
    let names = readme.split(|c: char| !(c.is_ascii_lowercase() || c == '_')).filter(|word| word.starts_with("paramedic_"));
    let names: Vec<&str> = names.collect();
    assert!(names.len() >= 5, "the README names what to watch");
    let family =
        |name: &str| ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned();
    let missing = names.into_iter().filter(|name| !code.contains(&format!("\"{}\"", family(name)))).map(str::to_owned);
    none("README.md names a metric that nothing counts", &missing.collect::<Vec<_>>());
}

/// The first column of the table under "Troubleshooting" is what people see; `…` stands for what differs.
#[test]
fn every_error_that_is_explained_is_one_that_is_said() {
    let said: String =
        files("", ".rs").into_iter().chain(files("crates/local/install", ".sh")).map(|path| one_line(&read(&path))).collect();
    let readme = read("README.md");
    let (_, section) = readme.split_once("\n## Troubleshooting").expect("a section on troubleshooting");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let texts: Vec<&str> =
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(text, _)| text).collect();
    assert!(texts.len() >= 8, "only {} errors are explained", texts.len());
    let parts = texts.iter().flat_map(|text| text.split('…').map(str::trim).filter(|part| part.len() > 3));
    let missing = parts.filter(|part| !said.contains(*part)).map(|part| format!("nothing says {part:?}"));
    none("README.md explains an error that does not exist", &missing.collect::<Vec<_>>());
}

/// Source text with strings that go on in the next line put together.
fn one_line(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.trim_start();
        let begun = line.strip_suffix('\\');
        whole.push_str(begun.unwrap_or(line));
        whole.push_str(if begun.is_some() { "" } else { "\n" });
    }
    whole.replace("\\\"", "\"")
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = vec![];
    for page in pages() {
        let text = read(&page);
        let folder = root().join(&page).parent().unwrap().to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let file = if path.is_empty() { root().join(&page) } else { folder.join(path) };
            if !file.exists() {
                broken.push(format!("{page}: {target}"));
            } else if !anchor.is_empty()
                && !anchors(&std::fs::read_to_string(&file).unwrap_or_default()).contains(&anchor.to_owned())
            {
                broken.push(format!("{page}: {target}: no such heading"));
            }
        }
    }
    none("a link leads nowhere", &broken);
}

/// Headings as links name them: lower case, blanks as dashes, other signs dropped.
fn anchors(page: &str) -> Vec<String> {
    let headings =
        page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let plain = |heading: String| heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    headings.map(|heading| plain(heading).replace(' ', "-")).collect()
}
