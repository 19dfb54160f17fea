//! Serves routes over HTTP/1.1 with a bound on everything that a stranger can make large or slow.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::ServiceExt;

use crate::lifecycle::Lifecycle;

/// Most connections at a time; the next one waits to be accepted.
pub const MOST_CONNECTIONS: usize = 4_096;
/// Bytes of a request line with its headers that are surely taken; a few times as many are surely not.
const MOST_HEAD_BYTES: usize = 32 * 1024;
/// Most headers of a request.
const MOST_HEADERS: usize = 100;
/// How long the head of a request may take, and a connection may idle between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves `routes` until the process stops, then lets what is under way finish. Handlers find the peer's address in
/// [`ConnectInfo<SocketAddr>`].
pub fn serve(listener: TcpListener, routes: Router, lifecycle: &Lifecycle) {
    let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let tasks = lifecycle.clone();
    lifecycle.spawn(async move {
        let mut stopping = std::pin::pin!(tasks.clone().stopping());
        loop {
            let Ok(permit) = connections.clone().acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                () = &mut stopping => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let task = connection(stream, peer, routes.clone(), tasks.clone(), permit);
                    tasks.spawn(task);
                }
                // Out of file descriptors, mostly: waiting lets connections end.
                Err(error) => {
                    tracing::warn!(error = %fault::chain(&error), "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    routes: Router,
    lifecycle: Lifecycle,
    _permit: OwnedSemaphorePermit,
) {
    let _ = stream.set_nodelay(true);
    let service = routes.map_request(move |request: http::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MOST_HEADERS)
        .max_buf_size(MOST_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = lifecycle.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = %fault::chain(&error), "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::Signals;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn started() -> anyhow::Result<(SocketAddr, Lifecycle)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let lifecycle = Lifecycle::new();
        let routes = Router::new().route(
            "/peer",
            get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string()),
        );
        serve(listener, routes, &lifecycle);
        Ok((address, lifecycle))
    }

    async fn say(address: SocketAddr, request: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        Ok(answer)
    }

    #[tokio::test]
    async fn a_handler_sees_its_peer_and_a_stopped_server_lets_go() -> anyhow::Result<()> {
        let (address, lifecycle) = started().await?;
        let answer = say(address, "GET /peer HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
        assert!(answer.ends_with("127.0.0.1"), "{answer}");
        let idle = TcpStream::connect(address).await?;
        lifecycle.stop();
        assert_eq!(
            lifecycle.run(Signals::listen()?, Duration::from_secs(5)).await,
            crate::lifecycle::Drained::All
        );
        drop(idle);
        Ok(())
    }

    #[tokio::test]
    async fn a_head_over_the_limit_is_refused() -> anyhow::Result<()> {
        let (address, _lifecycle) = started().await?;
        // The buffer may hold somewhat more than it must.
        let long = "x".repeat(4 * MOST_HEAD_BYTES);
        let answer = say(
            address,
            &format!("GET /peer HTTP/1.1\r\nhost: a\r\nx-long: {long}\r\n\r\n"),
        )
        .await?;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        let many = "x-one: 1\r\n".repeat(MOST_HEADERS + 1);
        let answer = say(address, &format!("GET /peer HTTP/1.1\r\nhost: a\r\n{many}\r\n")).await?;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        Ok(())
    }
}
