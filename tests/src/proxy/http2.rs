//! HTTP/2's frames, as far as it takes to tell where a request begins and where its answer ends.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::{Cut, Judge, Step, until_closed};

/// Length of what a client says first.
const PREFACE: usize = 24;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    bytes: Vec<u8>,
}

/// Carries one connection to its end, or to where `judge` cuts it.
pub async fn carry(client: TcpStream, server: TcpStream, judge: &dyn Judge) -> Result<()> {
    let (mut client_read, mut client_write) = client.into_split();
    let (mut server_read, mut server_write) = server.into_split();
    // The request whose answer is withheld; 0 is none.
    let withheld = AtomicU32::new(0);
    let cut = tokio::select! {
        cut = requests(&mut client_read, &mut server_write, &withheld, judge) => cut?,
        cut = answers(&mut server_read, &mut client_write, &withheld) => cut?,
    };
    if judge.struck(&request(), cut) {
        until_closed(&mut client_read, &mut server_read).await;
    }
    Ok(())
}

/// What it asks is compressed together with what was asked before.
fn request() -> Step {
    Step {
        text: "request".to_owned(),
        ends: true,
        writes: true,
    }
}

/// Forwards frames until a request is not to arrive.
async fn requests(
    client: &mut OwnedReadHalf,
    server: &mut OwnedWriteHalf,
    withheld: &AtomicU32,
    judge: &dyn Judge,
) -> Result<Cut> {
    let mut preface = [0; PREFACE];
    client.read_exact(&mut preface).await?;
    server.write_all(&preface).await?;
    loop {
        let frame = frame(client).await?;
        if frame.kind == HEADERS && withheld.load(Ordering::SeqCst) == 0 {
            match judge.judge(&request()) {
                Some(Cut::Request) => return Ok(Cut::Request),
                Some(Cut::Answer) => withheld.store(frame.stream, Ordering::SeqCst),
                None => {}
            }
        }
        server.write_all(&frame.bytes).await?;
    }
}

/// Passes answers back. From the head of the withheld one on nothing gets through: headers build on each other.
async fn answers(server: &mut OwnedReadHalf, client: &mut OwnedWriteHalf, withheld: &AtomicU32) -> Result<Cut> {
    let mut silent = false;
    loop {
        let frame = frame(server).await?;
        let ours = frame.stream != 0 && frame.stream == withheld.load(Ordering::SeqCst);
        silent |= ours && frame.kind == HEADERS;
        if ours && (frame.kind == RST_STREAM || (frame.kind == HEADERS && frame.flags & END_STREAM != 0)) {
            return Ok(Cut::Answer);
        }
        if !silent {
            client.write_all(&frame.bytes).await?;
        }
    }
}

async fn frame(from: &mut OwnedReadHalf) -> Result<Frame> {
    let mut head = [0; 9];
    from.read_exact(&mut head).await?;
    let length = usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]]))?;
    let mut bytes = vec![0; 9 + length];
    bytes[..9].copy_from_slice(&head);
    from.read_exact(&mut bytes[9..]).await?;
    Ok(Frame {
        kind: head[3],
        flags: head[4],
        stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff,
        bytes,
    })
}
