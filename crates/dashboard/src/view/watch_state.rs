//! What a watcher has chosen to look at, and what keys change about it.

use std::collections::BTreeSet;

use converge_core::metric::TRAIN_LOSS;
use converge_store::{Standing, TrialOrder, TrialWindow};

use super::watch::{SweepStanding, Watched};

/// A key, as far as it means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "keys are called by their names")]
pub enum Key {
    Char(char),
    Control(char),
    Enter,
    Escape,
    Tab,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
}

/// What a key asks of the world outside of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Leave; the sweep goes on.
    Quit,
    /// Give the terminal back for a while (Ctrl-Z).
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Have the scheduler stop.
    Stop,
    /// Have the workers leave for a while.
    Pause,
    /// Go on after a pause.
    Unpause,
    /// Take these trials out of the sweep.
    Cancel(Vec<u64>),
}

/// What lies over the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overlay {
    /// All keys.
    Help,
    /// A question; yes carries the wish out.
    Confirm(Wish),
    /// The metrics of the trial, with the place of the chosen one.
    Metrics(usize),
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// The sweep and its trials.
    List,
    /// The trial of a number.
    Trial(u64),
}

/// One of the two plots of a trial's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlotChoice {
    /// Metric.
    pub metric: String,
    /// Logarithmic values.
    pub logarithmic: bool,
}

/// What a watcher has chosen to look at.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchState {
    /// What is shown.
    pub screen: Screen,
    /// What lies over it.
    pub overlay: Option<Overlay>,
    /// Order of the list.
    pub order: TrialOrder,
    /// From its end.
    pub reversed: bool,
    /// Only trials that stand so.
    pub only: Option<Standing>,
    /// Place of the chosen trial in the list, from 0.
    pub chosen: u64,
    /// Place of the first visible trial.
    pub top: u64,
    /// Trials that fit on the screen.
    pub fits: u64,
    /// Numbers of marked trials.
    pub marked: BTreeSet<u64>,
    /// Parameters before the first visible one.
    pub parameters_before: usize,
    /// The plots of a trial's page.
    pub plots: [PlotChoice; 2],
    /// Which of them keys are about.
    pub focus: usize,
    /// Lines of a trial's page above the visible ones.
    pub scrolled: usize,
    /// Lines that could be scrolled away, as of the last frame.
    pub scrollable: usize,
    /// The last thing that there is to say.
    pub notice: Option<String>,
    /// Number of the trial that was chosen last, so that it stays so where the list moves.
    followed: Option<u64>,
}

impl WatchState {
    /// Starts with the list; what runs comes first, or what is best where nothing does.
    pub fn new(objective: &str, running: bool) -> Self {
        let plot = |metric: &str| PlotChoice { metric: metric.into(), logarithmic: false };
        Self {
            screen: Screen::List,
            overlay: None,
            order: if running { TrialOrder::Standing } else { TrialOrder::Rank },
            reversed: false,
            only: None,
            chosen: 0,
            top: 0,
            fits: 1,
            marked: BTreeSet::new(),
            parameters_before: 0,
            plots: [plot(TRAIN_LOSS), plot(objective)],
            focus: 0,
            scrolled: 0,
            scrollable: 0,
            notice: None,
            followed: None,
        }
    }

    /// Returns the part of the list that has to be read.
    pub fn window(&self) -> TrialWindow {
        let Self { order, reversed, only, top, fits, .. } = *self;
        TrialWindow { order, reversed, only, offset: top, count: fits }
    }

    /// Takes note of how many trials fit, and of how long the list is: the chosen one stays visible.
    pub fn fit(&mut self, fits: u64, listed: u64) {
        self.fits = fits.max(1);
        self.chosen = self.chosen.min(listed.saturating_sub(1));
        let lowest = self.chosen.saturating_sub(self.fits - 1);
        self.top = self.top.clamp(lowest, self.chosen.max(lowest));
        self.top = self.top.min(listed.saturating_sub(self.fits));
    }

    /// Keeps the chosen trial chosen where the list has moved under it.
    ///
    /// The first of the list is not followed: who has not moved yet watches the head of the list.
    pub fn follow(&mut self, watched: &Watched) {
        let Some(followed) = self.followed.filter(|_| self.chosen > 0) else { return };
        if let Some(place) = watched.rows.iter().position(|row| row.trial.number == followed) {
            self.chosen = watched.first + place as u64;
        } else if let Some(number) = self.number(watched) {
            self.followed = Some(number);
        }
    }

    /// Returns the number of the chosen trial, if it is visible.
    pub fn number(&self, watched: &Watched) -> Option<u64> {
        let place = usize::try_from(self.chosen.checked_sub(watched.first)?).ok()?;
        watched.rows.get(place).map(|row| row.trial.number)
    }

    /// Takes a key; `watched` is what the watcher sees.
    pub fn press(&mut self, key: Key, watched: &Watched) -> Option<Wish> {
        self.notice = None;
        match key {
            Key::Control('c') => return Some(Wish::Quit),
            Key::Control('z') => return Some(Wish::Suspend),
            Key::Control('l') => return Some(Wish::Redraw),
            _ => {}
        }
        if let Some(overlay) = self.overlay.take() {
            return self.over(overlay, key, watched);
        }
        match key {
            Key::Char('q') => return Some(Wish::Quit),
            Key::Char('?') => self.overlay = Some(Overlay::Help),
            Key::Char('c') => self.ask_to_cancel(watched),
            Key::Char('p') => self.ask_to_pause(watched),
            Key::Char('S') => self.ask(Wish::Stop, watched),
            _ => match self.screen {
                Screen::List => self.in_list(key, watched),
                Screen::Trial(number) => self.on_page(key, number, watched),
            },
        }
        None
    }

    fn over(&mut self, overlay: Overlay, key: Key, watched: &Watched) -> Option<Wish> {
        match overlay {
            // Any key closes it.
            Overlay::Help => None,
            Overlay::Confirm(wish) => match key {
                Key::Char('y' | 'Y') => {
                    if let Wish::Cancel(_) = wish {
                        self.marked.clear();
                    }
                    Some(wish)
                }
                Key::Char('n' | 'N' | 'q') | Key::Escape => None,
                // What is no answer leaves the question.
                _ => {
                    self.overlay = Some(Overlay::Confirm(wish));
                    None
                }
            },
            Overlay::Metrics(place) => {
                let metrics =
                    watched.page.as_ref().map_or(&[][..], |page| &page.detail.metrics[..]);
                let last = metrics.len().saturating_sub(1);
                let place = match key {
                    Key::Up | Key::Char('k') => place.saturating_sub(1),
                    Key::Down | Key::Char('j') => (place + 1).min(last),
                    Key::PageUp => place.saturating_sub(10),
                    Key::PageDown => (place + 10).min(last),
                    Key::Home => 0,
                    Key::End => last,
                    Key::Enter => {
                        if let Some(metric) = metrics.get(place) {
                            self.plots[self.focus].metric.clone_from(&metric.metric);
                        }
                        return None;
                    }
                    Key::Escape | Key::Char('q' | 'm') => return None,
                    _ => place,
                };
                self.overlay = Some(Overlay::Metrics(place));
                None
            }
        }
    }

    fn in_list(&mut self, key: Key, watched: &Watched) {
        let last = watched.listed.saturating_sub(1);
        match key {
            Key::Up | Key::Char('k') => self.choose(self.chosen.saturating_sub(1), watched),
            Key::Down | Key::Char('j') => self.choose((self.chosen + 1).min(last), watched),
            Key::PageUp => self.turn(self.chosen.saturating_sub(self.fits), watched),
            Key::PageDown => self.turn((self.chosen + self.fits).min(last), watched),
            Key::Home | Key::Char('g') => self.choose(0, watched),
            Key::End | Key::Char('G') => self.choose(last, watched),
            Key::Left => self.parameters_before = self.parameters_before.saturating_sub(1),
            Key::Right => {
                let most = watched.sweep.parameters.len().saturating_sub(1);
                self.parameters_before = (self.parameters_before + 1).min(most);
            }
            Key::Enter => {
                if let Some(number) = self.number(watched) {
                    self.open(number);
                }
            }
            Key::Char('b') => {
                match watched.sweep.best.as_ref().and_then(|best| best.trials.first()) {
                    Some(number) => self.open(*number),
                    None => self.notice = Some("no trial is completed yet".into()),
                }
            }
            Key::Char('s') => {
                self.order = match self.order {
                    TrialOrder::Standing => TrialOrder::Rank,
                    TrialOrder::Rank => TrialOrder::Number,
                    TrialOrder::Number => TrialOrder::Standing,
                };
                self.head();
            }
            Key::Char('r') => {
                self.reversed = !self.reversed;
                self.head();
            }
            Key::Char('f') => self.filter(1),
            Key::Char('F') => self.filter(-1),
            Key::Char(' ') => {
                if let Some(number) = self.number(watched) {
                    if !self.marked.remove(&number) {
                        self.marked.insert(number);
                    }
                    self.choose((self.chosen + 1).min(last), watched);
                }
            }
            Key::Escape => {
                if self.marked.is_empty() {
                    self.only = None;
                    self.head();
                } else {
                    self.marked.clear();
                }
            }
            _ => {}
        }
    }

    fn on_page(&mut self, key: Key, number: u64, watched: &Watched) {
        let page = self.page();
        match key {
            Key::Escape | Key::Left => self.screen = Screen::List,
            Key::Up | Key::Char('k') => self.scrolled = self.scrolled.saturating_sub(1),
            Key::Down | Key::Char('j') => self.scrolled = (self.scrolled + 1).min(self.scrollable),
            Key::PageUp => self.scrolled = self.scrolled.saturating_sub(page),
            Key::PageDown => self.scrolled = (self.scrolled + page).min(self.scrollable),
            Key::Home | Key::Char('g') => self.scrolled = 0,
            Key::End | Key::Char('G') => self.scrolled = self.scrollable,
            Key::Tab => self.focus = 1 - self.focus,
            Key::Char('l') => self.plots[self.focus].logarithmic ^= true,
            Key::Char('m') => {
                let metrics = watched.page.iter().flat_map(|page| &page.detail.metrics);
                let shown = &self.plots[self.focus].metric;
                let place = metrics.clone().position(|metric| metric.metric == *shown);
                if metrics.count() == 0 {
                    self.notice = Some("this trial has no metric yet".into());
                } else {
                    self.overlay = Some(Overlay::Metrics(place.unwrap_or(0)));
                }
            }
            Key::Char('n') if number < watched.sweep.trials.total() => self.open(number + 1),
            Key::Char('N') if number > 1 => self.open(number - 1),
            _ => {}
        }
    }

    /// Lines that a page turns at once; the visible part is not known here, and ten are on every screen.
    fn page(&self) -> usize {
        10
    }

    fn open(&mut self, number: u64) {
        self.screen = Screen::Trial(number);
        self.scrolled = 0;
    }

    fn choose(&mut self, place: u64, watched: &Watched) {
        self.chosen = place;
        self.fit(self.fits, watched.listed);
        self.followed = self.number(watched);
    }

    /// Turns a page: the visible part moves with the choice.
    fn turn(&mut self, place: u64, watched: &Watched) {
        let down = place > self.chosen;
        let moved = place.abs_diff(self.chosen);
        self.top = if down { self.top + moved } else { self.top.saturating_sub(moved) };
        self.choose(place, watched);
    }

    /// Goes to the head of another list.
    fn head(&mut self) {
        (self.chosen, self.top, self.followed) = (0, 0, None);
    }

    fn filter(&mut self, direction: isize) {
        let mut choices = vec![None];
        choices.extend(Standing::ALL.map(Some));
        let now = choices.iter().position(|choice| *choice == self.only).unwrap_or(0);
        let next = (now as isize + direction).rem_euclid(choices.len() as isize);
        self.only = choices[next.unsigned_abs()];
        self.head();
    }

    fn ask_to_cancel(&mut self, watched: &Watched) {
        let numbers: Vec<u64> = match self.screen {
            Screen::Trial(number) => vec![number],
            Screen::List if self.marked.is_empty() => self.number(watched).into_iter().collect(),
            Screen::List => self.marked.iter().copied().collect(),
        };
        let standing = |number: u64| {
            let row = watched.rows.iter().find(|row| row.trial.number == number);
            let page = watched.page.as_ref().filter(|page| page.detail.trial.number == number);
            page.map(|page| page.standing).or(row.map(|row| row.trial.standing))
        };
        match numbers[..] {
            [] => {}
            [one] if standing(one).is_some_and(Standing::is_final) => {
                let word = standing(one).map_or("", Standing::word);
                self.notice = Some(format!("trial {one} is {word}: there is nothing to cancel"));
            }
            _ if watched.sweep.scheduler.is_none() => {
                self.notice = Some("nothing runs here: `converge cancel` takes trials out".into());
            }
            _ => self.overlay = Some(Overlay::Confirm(Wish::Cancel(numbers))),
        }
    }

    fn ask_to_pause(&mut self, watched: &Watched) {
        let wish = match watched.sweep.state {
            SweepStanding::Paused | SweepStanding::Pausing => Wish::Unpause,
            _ => Wish::Pause,
        };
        self.ask(wish, watched);
    }

    fn ask(&mut self, wish: Wish, watched: &Watched) {
        if watched.sweep.state.is_held() {
            self.overlay = Some(Overlay::Confirm(wish));
        } else {
            let state = watched.sweep.state.word();
            self.notice = Some(format!("the sweep is {state}: nothing runs that could be asked"));
        }
    }
}

#[cfg(test)]
mod tests;
