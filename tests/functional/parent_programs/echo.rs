// A program without any change for this project: AF_VSOCK in Rust, with the
// standard library and the C library's calls.  Each connection has a thread.
//
//   rust listen PORT              answers lines with "rust LINE CID-OF-THE-CLIENT"
//   rust connect CID PORT LINE    sends a line and prints the answer
//
// SPDX-License-Identifier: GPL-2.0-or-later

use std::fs::File;
use std::io::{BufRead, BufReader, Error, Result, Write};
use std::os::unix::io::{AsRawFd, FromRawFd};

const AF_VSOCK: i32 = 40;
const SOCK_STREAM: i32 = 1;
const SOCK_CLOEXEC: i32 = 0o2000000;
const ANY_CID: u32 = u32::MAX;

#[repr(C)]
#[derive(Default)]
struct Address {
    family: u16,
    reserved: u16,
    port: u32,
    cid: u32,
    zero: [u8; 4],
}

const SIZE: u32 = std::mem::size_of::<Address>() as u32;

extern "C" {
    fn socket(domain: i32, kind: i32, protocol: i32) -> i32;
    fn bind(fd: i32, address: *const Address, size: u32) -> i32;
    fn connect(fd: i32, address: *const Address, size: u32) -> i32;
    fn listen(fd: i32, backlog: i32) -> i32;
    fn accept4(fd: i32, peer: *mut Address, size: *mut u32, flags: i32) -> i32;
}

fn check(result: i32) -> Result<i32> {
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result) }
}

fn new_socket() -> Result<File> {
    let fd = check(unsafe { socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0) })?;
    Ok(unsafe { File::from_raw_fd(fd) })
}

fn address(cid: u32, port: u32) -> Address {
    Address { family: AF_VSOCK as u16, cid, port, ..Default::default() }
}

fn answer(mut connection: File, cid: u32) -> Result<()> {
    let mut line = String::new();
    BufReader::new(connection.try_clone()?).read_line(&mut line)?;
    let text = format!("rust {} {cid}\n", line.trim());
    connection.write_all(text.as_bytes())
}

fn serve(port: u32) -> Result<()> {
    let listener = new_socket()?;
    let fd = listener.as_raw_fd();
    check(unsafe { bind(fd, &address(ANY_CID, port), SIZE) })?;
    check(unsafe { listen(fd, 10) })?;
    loop {
        let mut peer = Address::default();
        let mut size = SIZE;
        let accepted = check(unsafe {
            accept4(fd, &mut peer, &mut size, SOCK_CLOEXEC)
        })?;
        let connection = unsafe { File::from_raw_fd(accepted) };
        std::thread::spawn(move || answer(connection, peer.cid));
    }
}

fn ask(cid: u32, port: u32, line: &str) -> Result<()> {
    let mut connection = new_socket()?;
    check(unsafe { connect(connection.as_raw_fd(), &address(cid, port), SIZE) })?;
    connection.write_all(format!("{line}\n").as_bytes())?;
    let mut text = String::new();
    BufReader::new(connection).read_line(&mut text)?;
    print!("{text}");
    Ok(())
}

fn number(text: &str) -> u32 {
    text.parse().expect("a number")
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().collect();
    match words[1].as_str() {
        "listen" => serve(number(&words[2])),
        _ => ask(number(&words[2]), number(&words[3]), &words[4]),
    }
}
