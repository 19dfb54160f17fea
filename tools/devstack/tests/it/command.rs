//! The command as people and scripts run it.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use devstack::process::Identity;
use url::Url;

use crate::eventually;

fn devstack() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_devstack"));
    command.env_remove("TEST_DATABASE_URL").env_remove("DATABASE_URL");
    command
}

#[test]
fn a_command_finds_its_postgresql_and_its_exit_code_is_handed_on() {
    let script = "case $TEST_DATABASE_URL in postgresql://*) exit 7;; esac";
    let status = devstack()
        .args(["postgres", "--", "sh", "-c", script])
        .status()
        .expect("devstack runs");
    assert_eq!(status.code(), Some(7));
}

#[test]
fn nothing_survives_a_starter_that_was_killed() {
    let mut starter = devstack()
        .args([
            "postgres",
            "--",
            "sh",
            "-c",
            // A starter that is killed in the instant between a command's start and its entry among what is watched
            // cannot take it along.
            "sleep 0.5; echo $$; echo $TEST_DATABASE_URL; exec sleep 1000",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("devstack runs");
    let mut lines = BufReader::new(starter.stdout.take().expect("a pipe")).lines();
    let mut line = || lines.next().expect("a line").expect("readable");
    let child = Identity::of(line().parse().expect("a pid")).expect("the command runs");
    let port = Url::parse(&line()).expect("an address").port().expect("a port");
    let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(listens());
    starter.kill().expect("it can be killed");
    starter.wait().expect("it ends");
    eventually("the command is gone", || !child.is_alive());
    eventually("PostgreSQL is gone", || !listens());
}

#[test]
fn what_is_wrong_is_told_in_one_line_that_says_what_to_do() {
    let cases = [
        ("nonsense", "TEST_DATABASE_URL is no URL"),
        ("mysql://u:hunter2@localhost/db", "write postgresql://"),
        (
            "postgresql://u:hunter2@127.0.0.1:1/db",
            "no PostgreSQL answers at 127.0.0.1:1",
        ),
    ];
    for (url, said) in cases {
        let output = devstack()
            .args(["postgres", "--", "true"])
            .env("TEST_DATABASE_URL", url)
            .output();
        let output = output.expect("devstack runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{url}");
        assert!(text.contains(said) && !text.contains("hunter2"), "{url}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
