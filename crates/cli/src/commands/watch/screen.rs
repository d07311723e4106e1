//! The terminal: taken whole, and given back as it was, however the watcher leaves.

use std::io::{Stdout, stdout};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use converge_dashboard::view::watch_state::Key;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui_core::buffer::Buffer;
use ratatui_core::terminal::Terminal;
use ratatui_crossterm::CrosstermBackend;
use ratatui_crossterm::crossterm::cursor::{Hide, Show};
use ratatui_crossterm::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui_crossterm::crossterm::execute;
use ratatui_crossterm::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::{flag, low_level};

/// Signals are looked for so often.
const GLANCE: Duration = Duration::from_millis(50);

/// Who has to leave leaves within this time.
const GRACE: Duration = Duration::from_secs(1);

/// The whole terminal, until it is dropped.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    /// Columns and rows of the last frame.
    drawn: (u16, u16),
    leave: Arc<AtomicBool>,
    suspend: Arc<AtomicBool>,
    continued: Arc<AtomicBool>,
}

/// What came from outside.
pub(super) enum Event {
    Key(Key),
    Resized,
    /// A signal that ends programs.
    Leave,
    /// A signal that stops them for a while.
    Suspended,
    Nothing,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn enter() -> std::io::Result<Self> {
        let flag_of = |signals: &[i32]| {
            let flag = Arc::new(AtomicBool::new(false));
            for signal in signals {
                flag::register(*signal, Arc::clone(&flag))?;
            }
            Ok::<_, std::io::Error>(flag)
        };
        let leave = flag_of(&[SIGTERM, SIGHUP, SIGINT, SIGQUIT])?;
        let suspend = flag_of(&[SIGTSTP])?;
        let continued = flag_of(&[SIGCONT])?;
        // A message on the other screen would be gone with it.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        take()?;
        let terminal = Terminal::new(CrosstermBackend::new(stdout()));
        let terminal = terminal.inspect_err(|_| give_back())?;
        let gone = Arc::clone(&leave);
        std::thread::spawn(move || end_with_terminal(&gone));
        Ok(Self { terminal, drawn: (0, 0), leave, suspend, continued })
    }

    /// Returns columns and rows.
    pub(super) fn size(&self) -> (u16, u16) {
        self.terminal.size().map_or((80, 24), |size| (size.width, size.height))
    }

    /// Draws a frame: only what differs from the one before is written.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Buffer)) -> std::io::Result<()> {
        if self.size() != self.drawn {
            self.clear()?;
        }
        self.terminal.draw(|frame| draw(frame.buffer_mut())).map(|_| ())
    }

    /// Forgets what the terminal shows.
    ///
    /// ratatui would ask the terminal for its cursor, and give up where the answer is slow.
    pub(super) fn clear(&mut self) -> std::io::Result<()> {
        execute!(stdout(), Clear(ClearType::All))?;
        self.terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        self.drawn = self.size();
        Ok(())
    }

    /// Waits for something from outside, at most so long.
    pub(super) fn wait(&mut self, most: Duration) -> std::io::Result<Event> {
        let begun = Instant::now();
        loop {
            if self.leave.load(Ordering::Relaxed) {
                return Ok(Event::Leave);
            }
            if self.suspend.swap(false, Ordering::Relaxed) {
                return Ok(Event::Suspended);
            }
            // Stopped and continued by somebody else, who may have used the terminal meanwhile.
            if self.continued.swap(false, Ordering::Relaxed) {
                take()?;
                self.clear()?;
                return Ok(Event::Resized);
            }
            let left = most.saturating_sub(begun.elapsed());
            if event::poll(left.min(GLANCE))? {
                match event::read()? {
                    event::Event::Key(pressed) => {
                        if let Some(key) = key_of(pressed) {
                            return Ok(Event::Key(key));
                        }
                    }
                    event::Event::Resize(..) => return Ok(Event::Resized),
                    _ => {}
                }
            } else if begun.elapsed() >= most {
                return Ok(Event::Nothing);
            }
        }
    }

    /// Gives the terminal back, stops this process as Ctrl-Z does, and takes it again afterwards.
    pub(super) fn suspend(&mut self) -> std::io::Result<()> {
        give_back();
        low_level::emulate_default_handler(SIGTSTP)?;
        self.continued.store(false, Ordering::Relaxed);
        take()?;
        self.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Ends this process where it has to leave and does not: crossterm reads a closed terminal for ever.
///
/// A terminal that is closed sends a signal only to those whom it controls.
fn end_with_terminal(leave: &AtomicBool) {
    while !is_closed(500) && !leave.load(Ordering::Relaxed) {}
    leave.store(true, Ordering::Relaxed);
    std::thread::sleep(GRACE);
    give_back();
    low_level::exit(0);
}

/// Returns whether the terminal is closed, waiting for that at most so many milliseconds.
pub(super) fn is_closed(most: u16) -> bool {
    let output = stdout();
    let mut looked = [PollFd::new(output.as_fd(), PollFlags::empty())];
    let _ = poll(&mut looked, PollTimeout::from(most));
    let closed = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    looked[0].revents().is_some_and(|found| found.intersects(closed))
}

fn take() -> std::io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, Hide).inspect_err(|_| give_back())
}

/// Gives the terminal back as it was. Where that fails nobody is left to be told.
fn give_back() {
    let _ = execute!(stdout(), Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

fn key_of(event: KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    match event.code {
        KeyCode::Char(letter) if control => Some(Key::Control(letter.to_ascii_lowercase())),
        KeyCode::Char(letter) => Some(Key::Char(letter)),
        KeyCode::Enter => Some(Key::Enter),
        KeyCode::Esc | KeyCode::Backspace => Some(Key::Escape),
        KeyCode::Tab | KeyCode::BackTab => Some(Key::Tab),
        KeyCode::Up => Some(Key::Up),
        KeyCode::Down => Some(Key::Down),
        KeyCode::Left => Some(Key::Left),
        KeyCode::Right => Some(Key::Right),
        KeyCode::PageUp => Some(Key::PageUp),
        KeyCode::PageDown => Some(Key::PageDown),
        KeyCode::Home => Some(Key::Home),
        KeyCode::End => Some(Key::End),
        _ => None,
    }
}
