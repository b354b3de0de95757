//! What operators are given.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use rustix::process::Signal;

mod common;

use common::{Folder, PATIENCE, TestServer};

#[tokio::test]
async fn the_service_manager_is_told_when_clients_can_connect_and_when_the_server_stops() {
    let folder = Arc::new(Folder::new());
    let manager = UnixDatagram::bind(folder.path("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut buffer = [0; 1024];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let mut command = folder.command("serve --listen 127.0.0.1:0 --source stdin");
    command.env("NOTIFY_SOCKET", folder.path("notify"));
    let server = TestServer::start_command(folder, command);
    assert_eq!(told(), "READY=1\n");
    let mut client = server.client().await;
    server.signal(Signal::TERM);
    assert_eq!(told(), "STOPPING=1\n");
    assert_eq!(client.expect_close().await.0, 1001);
    assert!(server.wait().0.success());
}

#[tokio::test]
async fn a_service_manager_that_is_not_there_is_a_warning() {
    let folder = Arc::new(Folder::new());
    let mut command = folder.command("serve --listen 127.0.0.1:0 --source stdin");
    command.env("NOTIFY_SOCKET", folder.path("nobody"));
    let server = TestServer::start_command(folder, command);
    server.logged("the service manager can't be told").await;
    server.stop();
}
