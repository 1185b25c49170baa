//! The processes of a run, and what the system says of them.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use crate::Failure;

/// Linux counts processor time for `/proc` in these, on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: u32 = 100;

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

/// The processor time that a process has used, user and system, all threads.
pub fn processor_time(process: u32) -> Result<Duration, Failure> {
    time_in(&std::fs::read_to_string(format!("/proc/{process}/stat"))?)
}

/// The same of its threads of that name alone.
pub fn processor_time_of_threads(process: u32, name: &str) -> Result<Duration, Failure> {
    let mut time = Duration::ZERO;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = thread?.path();
        if std::fs::read_to_string(thread.join("comm"))?.trim_end() == name {
            time += time_in(&std::fs::read_to_string(thread.join("stat"))?)?;
        }
    }
    Ok(time)
}

fn time_in(stat: &str) -> Result<Duration, Failure> {
    // The second field is the program's name in brackets and may hold anything; user and system time are the 14th and 15th.
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/PID/stat has no name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(Duration::from_secs(1) * ticks / TICKS_PER_SECOND)
}

/// The memory that a process has resident, in MiB.
pub fn resident_mib(process: u32) -> Result<f64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("/proc/PID/status has no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
