//! The operators' command line against a running stack.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result};
use devstack::checkout::built;
use e2e::FEATURES;
use serde_json::Value;
use testkit::Stack;

/// The command with the secret and the address of a stack.
fn previewctl(stack: &Stack) -> Result<Command> {
    let mut command = bare()?;
    command
        .env("PREVIEWCTL_ADDRESS", stack.grpc_url()?)
        .env("INTERNAL_API_SECRET", stack.secret());
    Ok(command)
}

fn bare() -> Result<Command> {
    let mut command = Command::new(built("previewctl")?);
    command.env_clear().stdin(Stdio::null());
    Ok(command)
}

fn run(stack: &Stack, line: &str) -> Result<Output> {
    Ok(previewctl(stack)?.args(line.split_ascii_whitespace()).output()?)
}

/// What it prints when it succeeds.
fn text(stack: &Stack, line: &str) -> Result<String> {
    let output = run(stack, line)?;
    assert!(output.status.success(), "{line}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

fn json(stack: &Stack, line: &str) -> Result<Value> {
    let text = text(stack, &format!("--output json {line}"))?;
    serde_json::from_str(&text).with_context(|| text)
}

/// The exit code and the one sentence of a command that fails.
fn failure(output: &Output) -> (Option<i32>, String) {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code(), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_and_do_everything_from_their_command_line() -> Result<()> {
    let stack = Stack::builder().start().await?;
    let (one, two) = (stack.session(&FEATURES).await?, stack.session(&["lms"]).await?);
    let id = |session: &Value| session["id"].as_str().unwrap_or_default().to_owned();
    let (one, two) = (id(&one), id(&two));

    let listed = json(&stack, "sessions list --status ready,failed")?;
    let ids: Vec<_> = listed["sessions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|session| &session["id"])
        .collect();
    assert_eq!(ids, [&two, &one], "newest first");
    assert!(listed["sessions"][0]["bytes"].as_i64() > Some(500_000), "{listed}");
    assert!(!listed.to_string().contains("sessionToken"));
    assert_eq!(
        json(&stack, "sessions list --limit 1")?["sessions"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let none = json(&stack, "sessions list --status dropped")?;
    assert_eq!(none["sessions"], serde_json::json!([]));

    let table = text(&stack, "sessions list")?;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    let column = lines[0].find("STATUS").context("a head")?;
    assert!(
        lines[1..].iter().all(|line| line[column..].starts_with("READY ")),
        "{table}"
    );
    assert!(
        lines[1].contains(" MB") && lines[1].contains(" ago") && lines[1].contains("in 3h59m"),
        "{table}"
    );
    assert!(!table.contains('\x1b'), "no colours in a pipe");

    shows_and_extends(&stack, &one)?;
    ends(&stack, &one)?;
    looks_after_slots(&stack, &two).await?;
    let stats = json(&stack, "stats")?;
    assert_eq!(stats["sessions"]["READY"], 1);
    assert_eq!(stats["live"], 1);
    assert!(text(&stack, "stats")?.contains("1 of 50 sessions"));

    let drained = json(&stack, "slots drain --batch 1 --reason upgrade --yes")?;
    assert_eq!((&drained["ended"], &drained["remaining"]), (&1.into(), &0.into()));
    assert_eq!(json(&stack, "stats")?["live"], 0);
    Ok(())
}

fn shows_and_extends(stack: &Stack, id: &str) -> Result<()> {
    let before = json(stack, &format!("sessions show {id}"))?;
    assert_eq!(before["schema"], format!("preview_{}", id.replace('-', "")));
    assert!(
        before["bytes"].as_u64().is_some_and(|bytes| bytes > 1_000_000),
        "{before}"
    );
    let steps: Vec<_> = before["history"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|step| &step["to"])
        .collect();
    assert_eq!(steps, ["PENDING", "PROVISIONING", "READY"]);
    let extended = json(stack, &format!("sessions extend {id}"))?;
    assert!(
        extended["expiresAt"].as_str() > before["expiresAt"].as_str(),
        "{extended}"
    );
    let shown = text(stack, &format!("sessions show {id}"))?;
    assert!(
        shown.contains("PENDING to PROVISIONING") && shown.contains("EXTENDED"),
        "{shown}"
    );
    assert!(
        shown.contains("Expires      20") && shown.contains("UTC (in 3h59m)"),
        "{shown}"
    );
    Ok(())
}

fn ends(stack: &Stack, id: &str) -> Result<()> {
    let (code, told) = failure(&run(stack, &format!("sessions end {id}"))?);
    assert_eq!(code, Some(2), "nobody can be asked");
    assert!(told.contains("--yes"), "{told}");
    let ended = json(stack, &format!("sessions end {id} --yes --reason abuse"))?;
    assert_eq!(ended["sessions"][0]["endedNow"], true);
    let again = text(stack, &format!("sessions end {id} --yes"))?;
    assert_eq!(again, format!("Session {id} was over already.\n"));
    let nobody = "01890000-0000-7000-8000-000000000000";
    let partly = run(stack, &format!("sessions end {nobody} {id} --yes"))?;
    let (did, told) = (String::from_utf8(partly.stdout)?, String::from_utf8(partly.stderr)?);
    assert_eq!(
        (partly.status.code(), did),
        (Some(3), again),
        "the others are not left out"
    );
    assert!(
        told.contains(&format!("Session {nobody} was not ended")) && told.contains("1 of 2 sessions were not ended"),
        "{told}"
    );
    let shown = json(stack, &format!("sessions show {id}"))?;
    assert_eq!(shown["status"], "DROPPED");
    assert_eq!(shown["history"][4]["reason"], "ended by an operator: abuse");
    let (code, told) = failure(&run(stack, &format!("sessions extend {id}"))?);
    assert_eq!((code, told.contains("(SESSION_EXPIRED)")), (Some(6), true), "{told}");
    Ok(())
}

async fn looks_after_slots(stack: &Stack, session: &str) -> Result<()> {
    stack.wait_for_pool(2).await?;
    let slots = json(stack, "slots list --state claimed,ready")?;
    let find = |key: &str, value: &str| {
        let mut all = slots["slots"].as_array().into_iter().flatten();
        all.find(|slot| slot[key] == value).cloned().context("such a slot")
    };
    let claimed = find("session", session)?;
    assert!(claimed["bytes"].as_i64() > Some(500_000), "{claimed}");
    let (code, told) = failure(&run(stack, &format!("slots recycle {} --yes", claimed["id"]))?);
    assert_eq!((code, told.contains("(INVALID_STATE)")), (Some(6), true), "{told}");
    let ready = find("state", "READY")?;
    let recycled = json(stack, &format!("slots recycle {} --yes", ready["id"]))?;
    assert_eq!(
        (&recycled["begun"], &recycled["schema"]),
        (&true.into(), &ready["schema"])
    );
    let (code, _) = failure(&run(stack, "slots recycle 9999 --yes")?);
    assert_eq!(code, Some(3));

    assert_eq!(json(stack, "slots target 3")?["target"], 3);
    stack.wait_for_pool(3).await?;
    assert!(text(stack, "slots target")?.starts_with("Pool         3 of 3 ready"));
    let (code, told) = failure(&run(stack, "slots target 501")?);
    assert_eq!((code, told.contains("must be 0 to 500")), (Some(2), true), "{told}");
    assert!(text(stack, "slots list")?.lines().count() >= 5);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_a_line_each_also_across_a_restart_of_the_control_plane() -> Result<()> {
    let mut stack = Stack::builder().start().await?;
    let mut command = previewctl(&stack)?;
    command.args(["--output", "json", "--timeout", "120", "watch"]);
    let mut watch = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut told = BufReader::new(watch.stderr.take().context("its messages")?).lines();
    let mut lines = BufReader::new(watch.stdout.take().context("its output")?).lines();
    let mut steps = |session: &Value| -> Result<Vec<Value>> {
        let mut seen = Vec::new();
        while seen.len() < 3 {
            let line: Value = serde_json::from_str(&lines.next().context("a line")??)?;
            assert_eq!(line["session"], session["id"], "nothing is told twice");
            seen.push(line["to"].clone());
        }
        Ok(seen)
    };
    assert_eq!(told.next().context("a message")??, "watching");
    let session = stack.session(&["lms"]).await?;
    assert_eq!(steps(&session)?, ["PENDING", "PROVISIONING", "READY"]);

    stack.processes().stop(testkit::Service::Orchestrator)?;
    stack.processes().spawn(testkit::Service::Orchestrator)?;
    stack.processes().wait_ready(testkit::Service::Orchestrator).await?;
    let session = stack.session(&["ecommerce"]).await?;
    assert_eq!(steps(&session)?, ["PENDING", "PROVISIONING", "READY"]);
    watch.kill()?;
    watch.wait()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_one_sentence_and_an_exit_code() -> Result<()> {
    let stack = Stack::builder().start().await?;
    let nobody = "01890000-0000-7000-8000-000000000000";
    let (code, told) = failure(&run(&stack, &format!("sessions show {nobody}"))?);
    assert_eq!(
        (code, told.as_str()),
        (Some(3), "previewctl: There is no such session. (SESSION_NOT_FOUND)\n")
    );

    let mut command = previewctl(&stack)?;
    let output = command.env("INTERNAL_API_SECRET", "guessed").arg("stats").output()?;
    let (code, told) = failure(&output);
    assert_eq!((code, told.contains("(UNAUTHORIZED)")), (Some(5), true), "{told}");
    let (code, told) = failure(&bare()?.args(["stats"]).output()?);
    assert_eq!((code, told.contains("INTERNAL_API_SECRET")), (Some(2), true), "{told}");

    let file = std::env::temp_dir().join(format!("previewctl-{}", stack.database().name()));
    std::fs::write(&file, format!("A=b\nINTERNAL_API_SECRET={}\n", stack.secret()))?;
    let mut command = bare()?;
    command
        .args(["--address", &stack.grpc_url()?, "--secret-file"])
        .arg(&file)
        .arg("stats");
    let output = command.output()?;
    std::fs::remove_file(&file)?;
    assert!(output.status.success(), "{output:?}");

    for (line, code) in [
        ("--address http://127.0.0.1:1 stats", 4),
        ("--address 127.0.0.1:1 stats", 2),
        ("--address https://127.0.0.1:1 stats", 2),
        ("sessions show nonsense", 2),
        ("sessions list --status lost", 2),
        ("nonsense", 2),
    ] {
        let (left, told) = failure(&run(&stack, line)?);
        assert_eq!(left, Some(code), "{line}: {told}");
        assert!(!told.contains("panicked"), "{told}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_early_hears_no_complaint() -> Result<()> {
    let stack = Stack::builder().start().await?;
    let mut command = previewctl(&stack)?;
    let mut child = command
        .args(["sessions", "list"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    Ok(())
}

#[test]
fn help_and_completion_need_no_control_plane() -> Result<()> {
    for shell in ["bash", "zsh", "fish"] {
        let script = String::from_utf8(bare()?.args(["completion", shell]).output()?.stdout)?;
        assert!(script.contains("previewctl") && script.contains("recycle"), "{shell}");
    }
    for command in ["", "sessions", "sessions end", "slots drain", "watch", "completion"] {
        let line = command.split_ascii_whitespace().chain(["--help"]);
        let output = bare()?.args(line).output()?;
        let help = String::from_utf8(output.stdout)?;
        assert!(
            output.status.success() && help.contains("--secret-file"),
            "{command}: {help}"
        );
    }
    let help = String::from_utf8(bare()?.arg("--help").output()?.stdout)?;
    assert!(help.contains("Exit codes:") && help.contains("Examples:"), "{help}");
    Ok(())
}
