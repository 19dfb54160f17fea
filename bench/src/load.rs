//! Requests over a fixed number of connections, each sending its next one when the last is answered.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures::future::join_all;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

use crate::sample::Sample;

/// One connection that stays open.
pub struct Visitor {
    authority: String,
    sender: http1::SendRequest<Empty<Bytes>>,
    _driver: JoinSet<Result<(), hyper::Error>>,
}

impl Visitor {
    /// Connects to `http://host:port`.
    pub async fn arrive(url: &str) -> Result<Self> {
        let url: Uri = url.parse()?;
        let authority = url.authority().context("a URL without a host")?.as_str().to_owned();
        let stream = TcpStream::connect(&authority).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Ok(Self {
            authority,
            sender,
            _driver: driver,
        })
    }

    /// Gets a path and reads the whole answer.
    pub async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<StatusCode> {
        let mut request = Request::get(path).header("host", &self.authority);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.sender.send_request(request.body(Empty::new())?).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if body.is_empty() {
            bail!("an empty answer, status {status}");
        }
        Ok(status)
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Run {
    /// Answers a second.
    pub rate: f64,
    /// Time of each.
    pub sample: Sample,
    /// Answers that were not 200.
    pub failed: usize,
    /// Answers with those of the warm-up.
    pub all: usize,
}

/// Gets `url` for `time`, taking one of the `tokens` after another; `warmup` before that is not counted.
pub async fn get(url: &str, tokens: &[&str], connections: usize, warmup: Duration, time: Duration) -> Result<Run> {
    let target: Uri = url.parse()?;
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    let (next, all) = (Cell::new(0), Cell::new(0));
    let begin = Instant::now() + warmup;
    let end = begin + time;
    let client = async || -> Result<(Sample, usize)> {
        let mut visitor = Visitor::arrive(url).await?;
        let (mut sample, mut failed) = (Sample::default(), 0);
        loop {
            let token = tokens[next.get() % tokens.len()];
            next.set(next.get() + 1);
            let started = Instant::now();
            if started >= end {
                return Ok((sample, failed));
            }
            let status = visitor.get(path, &[("x-preview-session", token)]).await?;
            let done = Instant::now();
            all.set(all.get() + 1);
            // What was under way at either edge belongs to neither.
            if started >= begin && done <= end {
                sample.add(done - started);
                failed += usize::from(!status.is_success());
            }
        }
    };
    let mut run = Run {
        rate: 0.0,
        sample: Sample::default(),
        failed: 0,
        all: 0,
    };
    for result in join_all((0..connections).map(|_| client())).await {
        let (sample, failed) = result?;
        run.sample.join(&sample);
        run.failed += failed;
    }
    #[expect(clippy::cast_precision_loss, reason = "some ten thousand answers")]
    let answers = run.sample.count() as f64;
    run.rate = answers / time.as_secs_f64();
    run.all = all.get();
    Ok(run)
}
