//! Keys, one after the other, and what comes of them.

use std::collections::BTreeMap;

use converge_core::ids::TrialId;
use converge_core::objective::{At, Goal, Objective};
use converge_core::trial::TrialKind;
use converge_store::{TrialCounts, WatchedTrial};

use super::*;
use crate::view::watch::{BestSoFar, WatchedRow, WatchedSweep};
use crate::view::watch_curve::SampledCurve;

/// A list of 100 trials of which ten are visible; every third is completed, the others run.
fn watched(state: &WatchState, scheduler: Option<u32>) -> Watched {
    let rows = (state.top + 1..=(state.top + state.fits).min(100)).map(|number| {
        let standing = if number % 3 == 0 { Standing::Completed } else { Standing::Running };
        let empty = || SampledCurve::new(10, 4);
        WatchedRow {
            trial: WatchedTrial {
                id: TrialId(number as i64),
                number,
                kind: TrialKind::Grid,
                replicate: 0,
                configuration: BTreeMap::new(),
                standing,
                failure: None,
                total_steps: 10,
                attempts: 1,
                last_step: 5,
                objective: None,
                loss: None,
            },
            objective: empty(),
            loss: empty(),
        }
    });
    Watched {
        sweep: WatchedSweep {
            name: "s".into(),
            state: if scheduler.is_some() { SweepStanding::Running } else { SweepStanding::Killed },
            scheduler,
            objective: Objective { metric: "o".into(), goal: Goal::Maximize, at: At::Best },
            parameters: vec!["a".into(), "b".into()],
            trials: TrialCounts { running: 67, completed: 33, ..TrialCounts::default() },
            planned: Some(100),
            steps_done: 0,
            steps_total: 0,
            steps_per_second: None,
            elapsed_seconds: 0.0,
            best: Some(BestSoFar { mean: 1.0, trials: vec![42], configuration: String::new() }),
            workers: vec![],
        },
        rows: rows.collect(),
        first: state.top,
        listed: 100,
        page: None,
    }
}

fn start() -> WatchState {
    let mut state = WatchState::new("o", true);
    state.fit(10, 100);
    state
}

fn press_all(state: &mut WatchState, keys: &[Key]) -> Option<Wish> {
    let mut wish = None;
    for key in keys {
        let seen = watched(state, Some(7));
        wish = state.press(*key, &seen);
    }
    wish
}

#[test]
fn keys_move_the_choice_and_the_list_follows() {
    use Key::{Char, Down, End, Home, PageDown, PageUp, Up};
    for (keys, chosen, top) in [
        (&[Down][..], 1, 0),
        (&[Up], 0, 0),
        (&[Char('j'), Char('j'), Char('k')], 1, 0),
        (&[Down; 12], 12, 3),
        (&[PageDown], 10, 10),
        (&[Down, PageDown], 11, 10),
        (&[PageDown, PageDown, PageUp], 10, 10),
        (&[End], 99, 90),
        (&[Char('G'), Down], 99, 90),
        (&[End, PageDown, Up], 98, 90),
        (&[End, Home], 0, 0),
        (&[End, Char('g')], 0, 0),
    ] {
        let mut state = start();
        press_all(&mut state, keys);
        assert_eq!((state.chosen, state.top), (chosen, top), "{keys:?}");
    }
}

#[test]
fn keys_choose_what_is_listed() {
    use Key::{Char, Escape};
    for (keys, order, reversed, only) in [
        (&[Char('s')][..], TrialOrder::Rank, false, None),
        (&[Char('s'), Char('s')], TrialOrder::Number, false, None),
        (&[Char('s'), Char('s'), Char('s')], TrialOrder::Standing, false, None),
        (&[Char('r')], TrialOrder::Standing, true, None),
        (&[Char('f')], TrialOrder::Standing, false, Some(Standing::Running)),
        (&[Char('F')], TrialOrder::Standing, false, Some(Standing::Cancelled)),
        (&[Char('f'), Char('F')], TrialOrder::Standing, false, None),
        (&[Char('f'), Escape], TrialOrder::Standing, false, None),
    ] {
        let mut state = start();
        press_all(&mut state, &[Key::End]);
        assert_eq!(press_all(&mut state, keys), None);
        assert_eq!((state.order, state.reversed, state.only), (order, reversed, only), "{keys:?}");
        assert_eq!(state.window().offset, 0, "another list is seen from its head");
    }
}

#[test]
fn keys_ask_before_anything_is_changed() {
    use Key::{Char, Control, Enter, Escape};
    let cancel = |numbers: &[u64]| Some(Wish::Cancel(numbers.to_vec()));
    for (keys, wish) in [
        (&[Char('q')][..], Some(Wish::Quit)),
        (&[Control('c')], Some(Wish::Quit)),
        (&[Control('z')], Some(Wish::Suspend)),
        (&[Control('l')], Some(Wish::Redraw)),
        (&[Char('c')], None),
        (&[Char('c'), Char('y')], cancel(&[1])),
        (&[Char('c'), Char('n'), Char('y')], None),
        (&[Char('c'), Escape, Char('y')], None),
        (&[Char('c'), Enter], None),
        (&[Char('c'), Enter, Char('y')], cancel(&[1])),
        (&[Char('c'), Control('c')], Some(Wish::Quit)),
        (&[Char(' '), Key::Down, Char(' '), Char('c'), Char('y')], cancel(&[1, 3])),
        (&[Char(' '), Key::Up, Char(' '), Char('c'), Char('y')], cancel(&[2])),
        (&[Char(' '), Escape, Char('c'), Char('y')], cancel(&[2])),
        (&[Enter, Char('c'), Char('y')], cancel(&[1])),
        (&[Char('p'), Char('y')], Some(Wish::Pause)),
        (&[Char('S'), Char('Y')], Some(Wish::Stop)),
        (&[Char('s'), Char('y')], None),
        (&[Char('?'), Char('q')], None),
    ] {
        assert_eq!(press_all(&mut start(), keys), wish, "{keys:?}");
    }
}

#[test]
fn what_cannot_be_done_is_said_instead() {
    use Key::{Char, Down};
    for (keys, scheduler, notice) in [
        (&[Down, Down, Char('c')][..], Some(7), "trial 3 is completed: there is nothing to cancel"),
        (&[Char('c')], None, "nothing runs here: `converge cancel` takes trials out"),
        (&[Char('p')], None, "the sweep is killed: nothing runs that could be asked"),
        (&[Char('S')], None, "the sweep is killed: nothing runs that could be asked"),
    ] {
        let mut state = start();
        for key in keys {
            let seen = watched(&state, scheduler);
            assert_eq!(state.press(*key, &seen), None);
        }
        assert_eq!((state.notice.as_deref(), &state.overlay), (Some(notice), &None), "{keys:?}");
    }
}

#[test]
fn a_paused_sweep_is_asked_to_go_on() {
    let mut state = start();
    let mut seen = watched(&state, Some(7));
    seen.sweep.state = SweepStanding::Paused;
    state.press(Key::Char('p'), &seen);
    assert_eq!(state.press(Key::Char('y'), &seen), Some(Wish::Unpause));
}

#[test]
fn keys_open_trials_and_leave_them() {
    use Key::{Char, Enter, Escape, Left};
    for (keys, screen) in [
        (&[Enter][..], Screen::Trial(1)),
        (&[Key::Down, Enter], Screen::Trial(2)),
        (&[Char('b')], Screen::Trial(42)),
        (&[Enter, Char('n')], Screen::Trial(2)),
        (&[Enter, Char('N')], Screen::Trial(1)),
        (&[Char('b'), Char('N')], Screen::Trial(41)),
        (&[Enter, Escape], Screen::List),
        (&[Enter, Left], Screen::List),
    ] {
        let mut state = start();
        press_all(&mut state, keys);
        assert_eq!(state.screen, screen, "{keys:?}");
    }
}

#[test]
fn keys_of_a_page_are_about_the_plot_in_focus() {
    let mut state = start();
    press_all(&mut state, &[Key::Enter, Key::Char('l'), Key::Tab]);
    assert_eq!(state.focus, 1);
    assert!(state.plots[0].logarithmic && !state.plots[1].logarithmic);
    assert_eq!(state.plots[1].metric, "o");
    state.scrollable = 5;
    press_all(&mut state, &[Key::PageDown]);
    assert_eq!(state.scrolled, 5);
    press_all(&mut state, &[Key::Up, Key::Up]);
    assert_eq!(state.scrolled, 3);
    press_all(&mut state, &[Key::Char('m')]);
    assert_eq!(state.notice.as_deref(), Some("this trial has no metric yet"));
}

#[test]
fn the_chosen_trial_stays_chosen_while_the_list_moves() {
    let mut state = start();
    press_all(&mut state, &[Key::Down, Key::Down]);
    let mut moved = watched(&state, Some(7));
    moved.rows.remove(0);
    state.follow(&moved);
    assert_eq!(state.chosen, 1);
    assert_eq!(state.number(&moved), Some(3));
    // Gone from the screen: the place is kept, and who is there now is followed.
    moved.rows.remove(1);
    state.follow(&moved);
    assert_eq!((state.chosen, state.number(&moved)), (1, Some(4)));
    // The head of the list is watched as such.
    let mut state = start();
    let mut moved = watched(&state, Some(7));
    moved.rows.remove(0);
    state.follow(&moved);
    assert_eq!((state.chosen, state.number(&moved)), (0, Some(2)));
}

#[test]
fn a_list_that_gets_shorter_keeps_its_choice_in_it() {
    let mut state = start();
    press_all(&mut state, &[Key::End]);
    state.fit(10, 5);
    assert_eq!((state.chosen, state.top), (4, 0));
    state.fit(10, 0);
    assert_eq!((state.chosen, state.top), (0, 0));
    state.fit(0, 100);
    assert_eq!(state.fits, 1);
}
