//! The loops of bench/packets.ts in Rust, with `std::net`, one by one. Reads lines `what bytes 1 rounds`, answers as packets.ts
//! does.
use std::io::{stdin, Result};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// As many as a socket with the system's own room holds, which `std` cannot change.
const COUNT: usize = 64;

fn send(sock: &UdpSocket, data: &[u8], to: SocketAddr) -> Result<()> {
    for _ in 0..COUNT {
        sock.send_to(data, to)?;
    }
    Ok(())
}

fn receive(sock: &UdpSocket, into: &mut [u8]) -> Result<u64> {
    let mut sum = 0;
    for _ in 0..COUNT {
        sock.recv_from(into)?;
        sum += u64::from(into[0]);
    }
    Ok(sum)
}

fn forward(sock: &UdpSocket, into: &mut [u8], to: SocketAddr) -> Result<u64> {
    for _ in 0..COUNT {
        let (n, _) = sock.recv_from(into)?;
        sock.send_to(&into[..n], to)?;
    }
    Ok(0)
}

fn run(what: &str, bytes: usize, rounds: usize) -> Result<f64> {
    let (a, b) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    let (here, there) = (a.local_addr()?, b.local_addr()?);
    let (data, mut into) = (vec![0; bytes], [0; 2048]);
    let (mut spent, mut sum) = (Duration::ZERO, 0);
    for _ in 0..rounds {
        if what != "send" {
            send(&a, &data, there)?;
        }
        let start = Instant::now();
        match what {
            "send" => send(&a, &data, there)?,
            "forward" => sum += forward(&b, &mut into, here)?,
            _ => sum += receive(&b, &mut into)?,
        }
        spent += start.elapsed();
        if what != "recv" {
            receive(if what == "send" { &b } else { &a }, &mut into)?;
        }
    }
    std::hint::black_box(sum);
    Ok(spent.as_nanos() as f64 / (rounds * COUNT) as f64)
}

fn main() -> Result<()> {
    for line in stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let number = |i: usize| words[i].parse().expect("a number");
        println!("{:.2} 0", run(words[0], number(1), number(3))?);
    }
    Ok(())
}
