use super::*;

const SETTINGS: PlotSettings<'_> = PlotSettings {
    width: 60,
    height: 13,
    scale: Scale::Linear,
    metric: "train/loss",
    unit: "step",
    style: Style::PLAIN,
};

fn curve(name: &str, steps: u32, value: impl Fn(f64) -> f64) -> Curve {
    let points = (1..=steps).map(|step| (f64::from(step), value(f64::from(step)))).collect();
    Curve { name: name.into(), points }
}

fn falling(name: &str, rate: f64) -> Curve {
    curve(name, 128, |step| 0.1 + 0.6 * (-step * rate).exp())
}

#[test]
fn one_curve_has_no_letter() {
    insta::assert_snapshot!(plot(&[falling("trial 7", 0.03)], &SETTINGS), @r"
    train/loss
        │⠑⢄
    0.6 ┤ ⠘⢄
        │   ⠑⢆
        │     ⠑⢤
    0.4 ┤       ⠑⠢⣀
        │         ⠈⠑⠤⡀
        │            ⠈⠑⠢⢄⡀
        │                ⠈⠙⠒⠤⢄⣀
    0.2 ┤                      ⠉⠉⠒⠒⠤⠤⣄⣀⣀⡀
        │                               ⠉⠉⠉⠉⠒⠒⠒⠒⠢⠤⠤⠤⠤⠤⠤⠤⢄⣀⣀⣀⣀⣀⣀
        └────────┬───────┬────────┬───────┬───────┬────────┬───
                 20      40       60      80     100       step
    trial 7  0.1129
    ");
}

#[test]
fn several_curves_are_told_apart_by_letters() {
    let curves = [falling("trial 7", 0.03), falling("trial 12", 0.01), falling("trial 3", 0.001)];
    insta::assert_snapshot!(plot(&curves, &SETTINGS), @r"
    train/loss
        │⠻⡫⢍⣉⠉⠑⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠢⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⢄⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀
        │ ⠸⡀ ⠉⠒⠤⣀⡀                              ⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠑⠒⠒⠒c
    0.6 ┤  ⠈⠑⡄   ⠈⠉⠒⠢⢄⣀⡀
        │    ⠈⠢⢄       ⠈⠑⠒⠢⠤⣀⡀
        │      ⠈⠒⢄⡀          ⠈⠉⠑⠒⠤⠤⣀⣀⡀
    0.4 ┤         ⠈⠢⢄⡀               ⠉⠉⠑⠒⠢⠤⠤⣀⣀⡀
        │            ⠉⠒⠢⣀⡀                    ⠈⠉⠉⠒⠒⠒⠤⠤⠤⣀⣀⣀⡀
        │                ⠈⠑⠢⠤⣄⣀                           ⠈⠉⠉⠑⠒b
    0.2 ┤                      ⠉⠑⠒⠲⠤⠤⣀⣀⣀
        │                               ⠉⠉⠉⠑⠒⠒⠒⠒⠢⠤⠤⠤⠤⠤⠤⠤⣄⣀⣀⣀⣀⣀⣀a
        └────────┬───────┬────────┬───────┬───────┬────────┬───
                 20      40       60      80     100       step
    a  trial 7   0.1129
    b  trial 12  0.2668
    c  trial 3   0.6279
    ");
}

#[test]
fn a_curve_that_diverges_says_where() {
    let diverging = |step: f64| if step < 60.0 { 0.7 + step * step / 4000.0 } else { f64::NAN };
    let curves = [falling("trial 7", 0.03), curve("trial 8", 70, diverging)];
    insta::assert_snapshot!(plot(&curves, &SETTINGS), @r"
    train/loss
    1.5 ┤                      ⢀⠤⠊b
        │                    ⣀⠔⠉
        │                 ⢀⠤⠒⠁
        │              ⢀⠤⠒⠁
    1.0 ┤         ⢀⣀⠤⠖⠉⠁
        │⣀⣀⣀⣀⡤⠤⠴⠒⠊⠉
        │⠉⠲⠤⣀⡀
    0.5 ┤    ⠉⠑⠲⠤⣀⣀
        │         ⠈⠉⠉⠒⠒⠤⠤⢄⣀⣀⣀
        │                    ⠉⠉⠉⠉⠒⠒⠒⠒⠒⠒⠢⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⢄⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀a
        └────────┬───────┬────────┬───────┬───────┬────────┬───
                 20      40       60      80     100       step
    a  trial 7  0.1129
    b  trial 8  1.5702, then nan from step 60
    ");
}

#[test]
fn a_value_that_is_not_finite_leaves_a_gap() {
    let gap = |step: f64| if (40.0..80.0).contains(&step) { f64::INFINITY } else { step };
    insta::assert_snapshot!(plot(&[curve("trial 1", 128, gap)], &SETTINGS), @r"
    train/loss
        │                                                 ⣀⠤⠤⠒⠉
        │                                           ⢀⡠⠤⠔⠊⠉
    100 ┤                                      ⣀⡤⠤⠒⠉⠁
        │                                 ⢠⠤⠔⠊⠉
        │
        │
     50 ┤                ⡀
        │          ⢀⣀⠤⠒⠚⠉
        │     ⣀⡠⠔⠒⠊⠁
        │⣀⠤⠒⠒⠉
        └────────┬───────┬────────┬───────┬───────┬────────┬───
                 20      40       60      80     100       step
    trial 1  128
    ");
}

#[test]
fn a_log_scale_shows_ratios() {
    let settings =
        PlotSettings { scale: Scale::Logarithmic, metric: "train/gradient_norm", ..SETTINGS };
    let curves = [curve("trial 1", 128, |step| 100.0 * 0.93f64.powf(step) - 0.001)];
    insta::assert_snapshot!(plot(&curves, &settings), @r"
    train/gradient_norm (log scale)
         │⠉⠒⠤⢤⣀
         │     ⠉⠓⠒⠤⣀⡀
      10 ┤          ⠈⠉⠒⠦⢄⣀
         │               ⠈⠉⠑⠢⠤⣀⡀
       1 ┤                     ⠈⠙⠒⠤⣄⣀
         │                           ⠉⠒⠢⠤⣀⡀
         │                                ⠉⠑⠒⠤⢄⡀
     0.1 ┤                                     ⠈⠉⠒⠢⠤⣀
         │                                           ⠉⠓⠒⠤⣀⡀
    0.01 ┤                                                ⠈⠑⠒⠤⣀
         └────────┬───────┬───────┬───────┬────────┬───────┬───
                  20      40      60      80      100      step
    trial 1  0.008243
    ");
}

#[test]
fn shares_are_percentages() {
    let settings = PlotSettings { metric: "validation/accuracy", width: 40, height: 9, ..SETTINGS };
    let points = [(16.0, 0.512), (32.0, 0.684), (48.0, 0.801), (64.0, 0.8123)];
    let accuracy = Curve { name: "trial 4".into(), points: points.to_vec() };
    insta::assert_snapshot!(plot(&[accuracy], &settings), @r"
    validation/accuracy
    80 % ┤                   ⣀⠤⠒⠒⠒⠒⠒⠒⠉⠉⠉⠉⠉⠉
         │              ⣀⡠⠔⠊⠉
         │          ⣀⠤⠒⠉
         │      ⢀⡠⠔⠉
    60 % ┤   ⣀⠤⠊⠁
         │⡠⠔⠊
         └───┬────────────┬────────────┬───
             20           40           step
    trial 4  81.2 %
    ");
}

#[test]
fn ascii_serves_where_nothing_else_does() {
    let settings = PlotSettings { style: Style { colour: false, unicode: false }, ..SETTINGS };
    let text = plot(&[falling("trial 7", 0.03), falling("trial 12", 0.01)], &settings);
    assert!(text.is_ascii());
    insta::assert_snapshot!(text, @r"
    train/loss
        |+++
    0.6 + **+++++
        |   **   ++++++
        |    ***      ++++++++
        |       ***          +++++++++
    0.4 +         ****               +++++++++++
        |             *****                    ++++++++++++++
        |                 *******                           +++b
    0.2 +                       *************
        |                                    ******************a
        +--------+-------+--------+-------+-------+--------+---
                 20      40       60      80     100       step
    a *  trial 7   0.1129
    b +  trial 12  0.2668
    ");
}

#[test]
fn odd_input_is_drawn_all_the_same() {
    let one_point = Curve { name: "one".into(), points: vec![(5.0, 0.25)] };
    insta::assert_snapshot!(plot(&[one_point], &PlotSettings { height: 6, ..SETTINGS }), @r"
    train/loss
         │
    0.24 ┤                          ⠠
         │
         └──────────────────────────┬──────────────────────────
                                    5                      step
    one  0.2500
    ");
    let nothing = Curve { name: "none".into(), points: vec![(1.0, f64::NAN)] };
    insta::assert_snapshot!(plot(&[nothing], &SETTINGS), @r"
    train/loss
    nothing to plot: no finite value
    none  no finite value
    ");
    insta::assert_snapshot!(plot(&[], &SETTINGS), @r"
    train/loss
    nothing to plot: no finite value
    ");
    let huge = Curve { name: "huge".into(), points: vec![(0.0, -f64::MAX), (1.0, f64::MAX)] };
    assert!(plot(&[huge], &SETTINGS).contains("huge"));
    let zeros = curve("zeros", 3, |_| 0.0);
    let settings = PlotSettings { scale: Scale::Logarithmic, ..SETTINGS };
    assert!(plot(&[zeros], &settings).contains("nothing to plot"));
}

#[test]
fn no_line_is_wider_than_asked() {
    for width in [30, 41, 80, 200] {
        for count in [1, 2, 60] {
            let curves: Vec<Curve> =
                (0..count).map(|index| falling(&format!("trial {index}"), 0.03)).collect();
            for scale in [Scale::Linear, Scale::Logarithmic] {
                let text = plot(&curves, &PlotSettings { width, scale, ..SETTINGS });
                let widest = text.lines().map(|line| line.width()).max();
                assert!(widest <= Some(width), "{widest:?} at {width}:\n{text}");
            }
        }
    }
}

#[test]
fn colours_change_nothing_but_colours() {
    let curves = [falling("trial 7", 0.03), falling("trial 12", 0.01)];
    let settings = PlotSettings { style: Style { colour: true, unicode: true }, ..SETTINGS };
    let mut coloured = plot(&curves, &settings);
    for code in ["\x1b[36m", "\x1b[33m", "\x1b[0m"] {
        assert!(coloured.contains(code));
        coloured = coloured.replace(code, "");
    }
    assert_eq!(coloured, plot(&curves, &SETTINGS));
}
