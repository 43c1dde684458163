//! Running an embedded installer, its progress shown as it comes.

use std::collections::VecDeque;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

use super::{Environment, Progress};
use crate::{Error, Result};

const SCRIPTS: [(&str, &str); 9] = [
    ("a2a-python.sh", include_str!("../../install/a2a-python.sh")),
    ("cache.sh", include_str!("../../install/cache.sh")),
    ("debian.sh", include_str!("../../install/debian.sh")),
    ("wheels.sh", include_str!("../../install/wheels.sh")),
    ("kubernetes.sh", include_str!("../../install/kubernetes.sh")),
    ("kubernetes-validate.sh", include_str!("../../install/kubernetes-validate.sh")),
    ("monitoring.sh", include_str!("../../install/monitoring.sh")),
    ("nats.sh", include_str!("../../install/nats.sh")),
    ("postgres.sh", include_str!("../../install/postgres.sh")),
];

/// The slowest measured build took 10 minutes on a busy machine; a second caller may wait for a first one.
const INSTALL_WITHIN: Duration = Duration::from_mins(45);
/// As many of the last lines as an error shows.
const TAIL_LINES: usize = 15;

enum Line {
    Progress(String),
    Noise(String),
}

/// Runs `script args... CACHE` with bash.
pub(super) async fn run(
    environment: &Environment,
    script: &str,
    args: &[&str],
    what: &str,
    advice: &'static str,
    progress: Progress<'_>,
) -> Result<()> {
    let failed = |tail: String| Error::Install { what: what.to_owned(), tail, advice };
    let scripts = tempfile::tempdir().map_err(Error::file("creating a folder in", &std::env::temp_dir()))?;
    for (name, text) in SCRIPTS {
        let path = scripts.path().join(name);
        std::fs::write(&path, text).map_err(Error::file("writing", &path))?;
    }
    let mut child = Command::new("bash")
        .arg(scripts.path().join(script))
        .args(args)
        .arg(&environment.tools)
        .env("PATH", &environment.path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| Error::Run { program: "bash".into(), source })?;
    let (lines, mut received) = mpsc::channel(16);
    let readers = (child.stdout.take(), child.stderr.take());
    if let (Some(stdout), Some(stderr)) = readers {
        tokio::spawn(read_lines(stdout, Line::Progress, lines.clone()));
        tokio::spawn(read_lines(stderr, Line::Noise, lines));
    }
    let mut tail = VecDeque::new();
    let all_lines = async {
        while let Some(line) = received.recv().await {
            let text = match line {
                Line::Progress(text) => {
                    progress(&text);
                    text
                }
                Line::Noise(text) => text,
            };
            if tail.len() == TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(text);
        }
        child.wait().await
    };
    let ended = tokio::time::timeout(INSTALL_WITHIN, all_lines).await;
    let tail = Vec::from(tail).join("\n");
    match ended {
        Err(_) => Err(failed(format!("{tail}\n(not done after {} minutes)", INSTALL_WITHIN.as_secs() / 60))),
        Ok(Err(source)) => Err(Error::Run { program: "bash".into(), source }),
        Ok(Ok(status)) if !status.success() => Err(failed(tail)),
        Ok(Ok(_)) => Ok(()),
    }
}

async fn read_lines(stream: impl AsyncRead + Unpin, kind: fn(String) -> Line, lines: mpsc::Sender<Line>) {
    let mut stream = BufReader::new(stream).lines();
    while let Ok(Some(line)) = stream.next_line().await {
        if lines.send(kind(line)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn a_failed_installer_is_quoted() {
        let environment = Environment {
            path: "/usr/bin:/bin".into(),
            kubebuilder_assets: None,
            // Nobody, not even root, makes folders here.
            tools: "/proc/none".into(),
        };
        let lines = Mutex::new(Vec::new());
        let progress = |line: &str| lines.lock().unwrap().push(line.to_owned());
        let error = run(&environment, "nats.sh", &[], "nats-server", "advice", &progress).await.unwrap_err();
        let Error::Install { what, tail, .. } = error else { panic!("{error:?}") };
        assert_eq!(what, "nats-server");
        assert!(tail.contains("/proc/none"), "{tail}");
        assert!(lines.lock().unwrap().is_empty(), "nothing was done, so nothing was announced");
    }

    #[tokio::test]
    async fn what_is_installed_is_left_alone() {
        let tools = tempfile::tempdir().unwrap();
        std::fs::create_dir(tools.path().join("nats")).unwrap();
        let environment = Environment { path: "/usr/bin:/bin".into(), kubebuilder_assets: None, tools: tools.path().into() };
        let lines = Mutex::new(Vec::new());
        let progress = |line: &str| lines.lock().unwrap().push(line.to_owned());
        run(&environment, "nats.sh", &[], "nats-server", "advice", &progress).await.unwrap();
        assert_eq!(lines.lock().unwrap().len(), 1);
    }
}
