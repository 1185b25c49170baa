//! The processes of a run, and what the system says of them.

use std::{
    collections::HashMap,
    ffi::OsString,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use crate::Failure;

/// A child that this program started; it ends with it.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts this program again in another role.
    pub fn role(role: &str) -> Result<Self, Failure> {
        Self::start(Command::new(std::env::current_exe()?).arg("--role").arg(role))
    }

    /// Starts a program with its standard input and output in our hands.
    pub fn start(command: &mut Command) -> Result<Self, Failure> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().ok_or("a child without an output")?);
        Ok(Self { child, input, output })
    }

    /// Says a line to it.
    pub fn say(&mut self, line: &str) -> Result<(), Failure> {
        let input = self.input.as_mut().ok_or("a child without an input")?;
        input.write_all(line.as_bytes())?;
        input.write_all(b"\n")?;
        Ok(input.flush()?)
    }

    /// Waits for its next line.
    pub fn hear(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(format!("a process of the bench ended early: {}", self.child.wait()?).into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails when it is no longer running.
    pub fn check_running(&mut self) -> Result<(), Failure> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("a process of the bench ended early: {status}").into()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.input.take());
        // It may have ended by itself already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processor time that each thread of a process has used, user and system.
pub struct ThreadTimes(HashMap<OsString, (String, Duration)>);

impl ThreadTimes {
    /// As of now. From `schedstat`, in ns: a round is too short for the hundredths of a second in `stat`.
    pub fn of(process: u32) -> Result<Self, Failure> {
        let mut times = HashMap::new();
        for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
            let thread = thread?;
            let read = |file| std::fs::read_to_string(thread.path().join(file));
            // One that has just ended is not there any more.
            let (Ok(name), Ok(time)) = (read("comm"), read("schedstat")) else { continue };
            let time = time.split_whitespace().next().ok_or("/proc/PID/task/TID/schedstat is empty")?.parse()?;
            times.insert(thread.file_name(), (name.trim_end().to_owned(), Duration::from_nanos(time)));
        }
        if times.is_empty() { Err("/proc/PID/task/TID/schedstat cannot be read".into()) } else { Ok(Self(times)) }
    }

    /// What was used since then by all threads but those of the name `apart`, and by those.
    pub fn since(&self, before: &Self, apart: Option<&str>) -> (Duration, Duration) {
        let (mut rest, mut named) = (Duration::ZERO, Duration::ZERO);
        for (thread, (name, time)) in &self.0 {
            let used = time.saturating_sub(before.0.get(thread).map_or(Duration::ZERO, |(_, time)| *time));
            *if Some(name.as_str()) == apart { &mut named } else { &mut rest } += used;
        }
        (rest, named)
    }
}

/// The memory that a process has resident, in MiB.
pub fn resident_mib(process: u32) -> Result<f64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("/proc/PID/status has no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
