//! What a probe found, for people and for programs.

use converge_core::probe::{self, Choice, NoRange, Point, Range, Reading};
use converge_core::value::Value;
use converge_dashboard::terminal::escaped::escaped;
use converge_dashboard::terminal::number::of_metric;
use converge_dashboard::terminal::plot::{PlotSettings, Scale, plot_rates};
use converge_store::{SweepRecord, TrialDetail};
use serde_json::json;

use crate::commands::curve::number;
use crate::output;

/// Size of the plot where stdout is no terminal.
const WIDTH: usize = 80;
/// Lines of the plot.
const HEIGHT: usize = 16;
/// Two neighbours in a proposed grid are about so many times apart.
const SPACING: f64 = 3.0;

/// The losses of a probe and what they tell.
pub(crate) struct RampReport<'a> {
    record: &'a SweepRecord,
    detail: &'a TrialDetail,
    choice: &'a Choice,
    points: Vec<Point>,
    reading: Reading,
}

impl<'a> RampReport<'a> {
    /// Reads the losses of a probe.
    pub(crate) fn new(
        record: &'a SweepRecord,
        detail: &'a TrialDetail,
        choice: &'a Choice,
        points: Vec<Point>,
    ) -> Self {
        let ended = (points.len() as u64) < detail.trial.total_steps;
        let reading = probe::read(&points, ended);
        Self { record, detail, choice, points, reading }
    }

    /// Returns the plot, the range, and lines for the sweep file.
    pub(crate) fn text(&self) -> String {
        let trial = &self.detail.trial;
        let steps = self.points.len() as u64;
        let ended = match self.points.last() {
            Some(last) if steps < trial.total_steps => {
                format!(
                    ": it ends at {}, where the loss had blown up, as it should",
                    shown(last.learning_rate)
                )
            }
            _ => String::new(),
        };
        let mut text = escaped(&format!(
            "sweep `{}`, trial {} (probe): {steps} of {} steps{ended}\n{}\n\n",
            self.record.name,
            trial.number,
            trial.total_steps,
            output::configuration(&trial.configuration),
        ))
        .into_owned();
        text += &self.plot();
        text += "\n";
        text += &match &self.reading.range {
            Ok(range) => self.proposal(range),
            Err(why) => {
                let up = match why {
                    NoRange::NeverFell { blows_up: Some(rate) } => {
                        let (up, tenth) = (shown(*rate), shown(rate / 10.0));
                        format!(
                            "it blows up at {up}: rates up to a tenth of that, {tenth}, do no harm\n"
                        )
                    }
                    NoRange::NeverFell { .. } | NoRange::TooFew(_) => String::new(),
                };
                format!(
                    "no clear range: {why}\n{up}\
                     more steps (--steps 300), a larger batch_size, or other ends (--from, --to) may show one\n"
                )
            }
        };
        text
    }

    fn plot(&self) -> String {
        let settings = PlotSettings {
            width: output::width().unwrap_or(WIDTH).min(120),
            height: HEIGHT,
            scale: Scale::Linear,
            metric: "train/loss, smoothed, over the learning rate",
            unit: "",
            style: output::stdout_style(),
        };
        // What comes after the blow-up would press all else into a line.
        let most = match &self.reading.range {
            Ok(range) => {
                let smallest = self.reading.smoothed.iter().map(|point| point.loss);
                smallest.fold(f64::INFINITY, f64::min) + 2.0 * range.drop
            }
            Err(_) => {
                let first = self.reading.smoothed.first().map_or(f64::INFINITY, |point| point.loss);
                first + first.abs() / 2.0
            }
        };
        let lowest = self.reading.range.as_ref().map_or(0.0, |range| range.lowest);
        let shown = |point: &&Point| point.learning_rate <= lowest || point.loss <= most;
        let points: Vec<(f64, f64)> = self
            .reading
            .smoothed
            .iter()
            .take_while(shown)
            .map(|point| (point.learning_rate, point.loss))
            .collect();
        let range =
            self.reading.range.as_ref().ok().map(|range| (range.min, range.max, "search here"));
        plot_rates(&points, &settings, range)
    }

    fn proposal(&self, range: &Range) -> String {
        let blows_up = match range.blows_up {
            Some(rate) => format!("is back up at {}", shown(rate)),
            None => "has not come back up by the end".into(),
        };
        let mut text = format!(
            "the loss begins to fall at {}, falls fastest at {}, is smallest at {}, and {blows_up}\n\
             it fell by {}; batches move the smoothed loss by {}\n\n\
             search from {} to {}: {}\n",
            shown(range.falls_from),
            shown(range.steepest),
            shown(range.lowest),
            of_metric("train/loss", range.drop),
            of_metric("train/loss", self.reading.noise),
            shown(range.min),
            shown(range.max),
            why(range),
        );
        let [grid, random] = lines(range);
        text += &format!("  {grid}\n  {random}\n");
        let mut notes: Vec<String> = Vec::new();
        if range.blows_up.is_none() {
            notes.push("--to with a larger rate may show where it blows up".into());
        }
        if let Some(optimizer) = self
            .choice
            .configuration
            .get("optimizer")
            .filter(|_| self.choice.of_several.contains("optimizer"))
        {
            notes.push(format!(
                "this is for {optimizer}: add `when = {{ optimizer = \"{optimizer}\" }}`, and probe the others, \
                 such as `optimizer=sgd`"
            ));
        }
        for note in notes {
            text += &escaped(&format!("{note}\n"));
        }
        text
    }

    /// Returns all of it for programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        let trial = &self.detail.trial;
        let smoothed = self.reading.smoothed.iter().map(Some).chain(std::iter::repeat(None));
        let points: Vec<_> = self
            .points
            .iter()
            .zip(smoothed)
            .map(|(point, smoothed)| {
                json!({
                    "learning_rate": point.learning_rate, "loss": number(point.loss),
                    "smoothed": smoothed.map(|smoothed| smoothed.loss),
                })
            })
            .collect();
        let range = self.reading.range.as_ref().ok();
        json!({
            "sweep": self.record.name,
            "trial": trial.number,
            "state": trial.state.word(),
            "steps": self.points.len(),
            "total_steps": trial.total_steps,
            "configuration": trial.configuration,
            "optimizer": self.detail.settings.train.optimizer,
            "ramp": self.detail.settings.train.ramp,
            "points": points,
            "noise": number(self.reading.noise),
            "range": range.map(|range| json!({
                "min": range.min, "max": range.max, "falls_from": range.falls_from, "steepest": range.steepest,
                "lowest": range.lowest, "blows_up": range.blows_up, "drop": range.drop,
            })),
            "no_range": self.reading.range.as_ref().err().map(ToString::to_string),
            "blows_up": match &self.reading.range {
                Ok(range) => range.blows_up,
                Err(NoRange::NeverFell { blows_up }) => *blows_up,
                Err(NoRange::TooFew(_)) => None,
            },
            "lines": range.map(lines),
        })
    }
}

/// Says how the range follows from what was read.
fn why(range: &Range) -> String {
    let end = match range.blows_up {
        Some(rate) => format!("a tenth of where it is back up ({})", shown(rate / 10.0)),
        None => format!("where it is smallest ({})", shown(range.lowest)),
    };
    let begin = format!("where it begins to fall ({})", shown(range.falls_from));
    match (range.min / range.falls_from - 1.0).abs() < 0.1 {
        true => format!("from {begin} to {end}"),
        false => format!("a factor of ten around {begin} and {end}"),
    }
}

/// Lines of a sweep file that search a range: in a grid, and in draws.
fn lines(range: &Range) -> [String; 2] {
    let points = ((range.max / range.min).ln() / SPACING.ln()).round().max(1.0) as u64;
    let ratio = range.max / range.min;
    let mut values: Vec<String> = Vec::new();
    for place in 0..=points {
        let value = range.min * ratio.powf(place as f64 / points as f64);
        let ends = place == 0 || place == points;
        let rounded = if ends { value } else { format!("{value:.0e}").parse().unwrap_or(value) };
        let text = shown(rounded);
        if values.last() != Some(&text) {
            values.push(text);
        }
    }
    [
        format!("learning_rate = {{ values = [{}] }}", values.join(", ")),
        format!(
            "learning_rate = {{ distribution = \"log_uniform_values\", min = {}, max = {} }}      # where the method draws",
            shown(range.min),
            shown(range.max)
        ),
    ]
}

/// A learning rate with two digits at most, as a sweep file writes it.
fn shown(rate: f64) -> String {
    let rounded: f64 = format!("{rate:.1e}").parse().unwrap_or(rate);
    Value::Float(rounded).to_string()
}
