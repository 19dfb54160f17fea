//! A proxy between two parts. It sees every message, and may cut the connection at any of them.
//!
//! PostgreSQL does one message after another and remembers nothing of what is not committed; so a crash between two
//! parts is one of two things: a message that did not arrive, or an answer that did not come back. Whoever cuts at each
//! message in both ways has met every crash there is.

mod http2;
mod postgres;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// PostgreSQL's; a step is a statement.
    Postgres,
    /// HTTP/2; a step is a request.
    Http2,
    /// Anything; there are no steps.
    Opaque,
}

/// One message that changes or asks something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it is, with the statements before it in its transaction, without what differs each time.
    pub text: String,
    /// It ends its transaction, or is one of its own.
    pub ends: bool,
    /// It, or its transaction so far, changes something.
    pub writes: bool,
}

/// Where a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// The message does not arrive.
    Request,
    /// It arrives and is worked on; the answer does not come back.
    Answer,
}

/// Decides which steps are cut.
pub trait Judge: Send + Sync + 'static {
    /// Whether to cut here.
    fn judge(&self, step: &Step) -> Option<Cut>;

    /// It was cut there. With `true` the connection is left hanging until one side closes it.
    fn struck(&self, step: &Step, cut: Cut) -> bool;
}

/// Lets everything pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lenient;

impl Judge for Lenient {
    fn judge(&self, _: &Step) -> Option<Cut> {
        None
    }

    fn struck(&self, _: &Step, _: Cut) -> bool {
        false
    }
}

/// A running proxy. It ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    road: Arc<Road>,
    _accepting: JoinSet<()>,
}

struct Road {
    protocol: Protocol,
    judge: Arc<dyn Judge>,
    targets: Mutex<Vec<SocketAddr>>,
    next: AtomicUsize,
    /// Whether it lets anybody through.
    open: watch::Sender<bool>,
}

impl Proxy {
    /// A proxy that leads nowhere yet.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(protocol: Protocol, judge: Arc<dyn Judge>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let road = Arc::new(Road {
            protocol,
            judge,
            targets: Mutex::default(),
            next: AtomicUsize::new(0),
            open: watch::Sender::new(true),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(road.clone().accept(listener));
        Ok(Self {
            address,
            road,
            _accepting: accepting,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it leads. Of several, one after another gets a connection; those that are away are passed over.
    pub fn leads_to(&self, targets: &[SocketAddr]) {
        *self.road.targets() = targets.to_vec();
    }

    /// Closes all connections, and lets no new one through until it is opened again.
    pub fn shut(&self) {
        self.road.open.send_replace(false);
    }

    /// Lets connections through again.
    pub fn open(&self) {
        self.road.open.send_replace(true);
    }
}

impl Road {
    fn targets(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            connections.spawn(self.clone().carry(client));
            while connections.try_join_next().is_some() {}
        }
    }

    /// One connection's life. Both sides are closed together.
    async fn carry(self: Arc<Self>, client: TcpStream) {
        let mut open = self.open.subscribe();
        if !*open.borrow() {
            return;
        }
        let work = async {
            let Some(server) = self.connect().await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            // An error is the end of a connection, of which there are many here.
            let _ = match self.protocol {
                Protocol::Postgres => postgres::carry(client, server, &*self.judge).await,
                Protocol::Http2 => http2::carry(client, server, &*self.judge).await,
                Protocol::Opaque => opaque(client, server).await,
            };
        };
        tokio::select! {
            () = work => {}
            _ = open.wait_for(|open| !open) => {}
        }
    }

    async fn connect(&self) -> Option<TcpStream> {
        let targets = self.targets().clone();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for offset in 0..targets.len() {
            let target = targets[(first + offset) % targets.len()];
            if let Ok(stream) = TcpStream::connect(target).await {
                return Some(stream);
            }
        }
        None
    }
}

async fn opaque(mut client: TcpStream, mut server: TcpStream) -> Result<()> {
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// Waits until one of the sides is gone.
async fn until_closed(one: &mut OwnedReadHalf, other: &mut OwnedReadHalf) {
    tokio::select! {
        () = drain(one) => {}
        () = drain(other) => {}
    }
}

async fn drain(read: &mut OwnedReadHalf) {
    let mut waste = [0; 1024];
    while !matches!(read.read(&mut waste).await, Ok(0) | Err(_)) {}
}
