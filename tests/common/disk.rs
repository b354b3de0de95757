//! A small disk of a test's own, which fills up, and which only the servers on it see.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use super::Folder;

/// A tmpfs on a folder within a [`Folder`], in a mount namespace that ends with the test.
pub struct Disk {
    folder: Arc<Folder>,
    mounted_on: &'static str,
    /// The process that keeps the namespace; it ends when its standard input does.
    namespace: Child,
    entered_by: &'static [&'static str],
}

impl Disk {
    /// Mounts one of so many bytes on this folder.
    ///
    /// # Panics
    /// Neither root nor a user namespace may mount here.
    pub fn on(folder: &Arc<Folder>, mounted_on: &'static str, size: u64) -> Self {
        let path = folder.path(mounted_on);
        fs::create_dir_all(&path).unwrap();
        // Root mounts; anybody else becomes root in a user namespace, where that is permitted.
        let ways: [(&[&str], &[&str]); 2] = [
            (&["-m"], &["-m"]),
            (&["-m", "-r"], &["-m", "-U", "--preserve-credentials"]),
        ];
        let mut said = String::new();
        for (unshare, entered_by) in ways {
            let mut namespace = Command::new("unshare")
                .args(unshare)
                .args([
                    "sh",
                    "-c",
                    r#"mount -t tmpfs -o "size=$0" tmpfs "$1" && echo mounted && exec cat"#,
                ])
                .arg(size.to_string())
                .arg(&path)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap_or_else(|error| panic!("unshare: {error}; install util-linux"));
            let mut line = String::new();
            let mut stdout = BufReader::new(namespace.stdout.take().unwrap());
            stdout.read_line(&mut line).unwrap();
            if line == "mounted\n" {
                return Self {
                    folder: Arc::clone(folder),
                    mounted_on,
                    namespace,
                    entered_by,
                };
            }
            let output = namespace.wait_with_output().unwrap();
            said.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        panic!(
            "this test needs a small disk: run it as root that may mount (in a container: \
             CAP_SYS_ADMIN), or where user namespaces are permitted (unshare -rm):\n{said}"
        );
    }

    /// Where something on this disk is for the test itself, which does not see the disk.
    /// (Not for SQLite, which resolves the path by itself and ends up beside the disk.)
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        let outside = self.folder.path(self.mounted_on);
        let root = PathBuf::from(format!("/proc/{}/root", self.namespace.id()));
        root.join(outside.strip_prefix("/").unwrap()).join(name)
    }

    /// A signalcast command that sees the disk, not yet started.
    pub fn command(&self, arguments: &str) -> Command {
        let inner = self.folder.command(arguments);
        let mut command = self.inside(&inner.get_program().to_string_lossy());
        command.args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Makes all of it read-only: with `bind`, which root in a user namespace needs for that.
    pub fn make_read_only(&self) {
        let mut mount = self.inside("mount");
        mount.args(["-o", "remount,bind,ro"]);
        let status = mount.arg(self.folder.path(self.mounted_on)).status();
        assert!(status.unwrap().success(), "it is not read-only");
    }

    /// Makes one file of it read-only, whatever its folder is.
    pub fn make_file_read_only(&self, name: &str) {
        let path = self.folder.path(self.mounted_on).join(name);
        let mount = r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0""#;
        let status = self.inside("sh").args(["-c", mount]).arg(path).status();
        assert!(status.unwrap().success(), "{name} is not read-only");
    }

    /// Writes to a file until nothing more fits on the disk.
    pub fn fill(&self, name: &str) {
        let mut file = fs::File::create(self.path(name)).unwrap();
        // The last page is filled by the smallest writes.
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    /// A program within the namespace, in the folder.
    fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg("-t")
            .arg(self.namespace.id().to_string())
            .args(self.entered_by)
            .args(["sh", "-c", r#"cd "$0" && exec "$@""#])
            .arg(self.folder.path(""))
            .arg(program);
        command
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.namespace.kill().ok();
        self.namespace.wait().ok();
    }
}
