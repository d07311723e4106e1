//! `explain`: what mattered in a sweep, in words, tables and JSON.

use converge_tests::Sandbox;

/// Two optimizers with rates of their own: AdamW does best at 1e-4, SGD at 1e-2.
const NESTED: &str = r#"
[sweep]
name = "nested"
REPLICATES
[model]
preset = "tiny"
[data]
train = "none.tsv"
[parameters]
learning_rate = [
  { values = [1e-5, 1e-4, 1e-3], when = { optimizer = "adamw" } },
  { values = [1e-3, 1e-2, 1e-1], when = { optimizer = "sgd" } },
]
batch_size = { values = [16, 32] }
optimizer = { values = ["adamw", "sgd"] }
dropout = { values = [0.1, 0.3] }
[run]
device = "scripted"
workers = 2
"#;

const RANDOM: &str = r#"
[sweep]
name = "random"
method = "random"
[model]
preset = "tiny"
[data]
train = "none.tsv"
[parameters]
learning_rate = { distribution = "log_uniform_values", min = 1e-6, max = 1e-2 }
batch_size = { values = [16, 32] }
dropout = { min = 0.0, max = 0.3 }
[budget]
max_trials = 40
[run]
device = "scripted"
workers = 2
"#;

fn sandbox(text: &str, code: i32) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", text);
    sandbox.converge(&["run", "s.toml"]).expect_code(code);
    sandbox
}

#[test]
fn a_grid_is_explained_by_shares_of_the_variance() {
    let sandbox = sandbox(&NESTED.replace("REPLICATES", ""), 0);
    let text = sandbox.converge(&["explain"]).expect_code(0).stdout;
    insta::assert_snapshot!(text, @r"
    sweep `nested`: what mattered
    - 24 trials: 24 completed.
    - learning_rate (within optimizer) decides: 100 % of the variance [100-100 %]; batch_size and
      dropout add less than 1 %; optimizer is within noise.
    - Each configuration has one seed, so that interactions stand in for the noise (1.9e-4 points):
      `replicates = 3` would measure it.
    - A learning rate picked blindly from those tried costs on average 11.2 points with adamw (1e-5 to
      0.001) and 11.2 points with sgd (0.001 to 0.1).

    Shares of the variance
    due to                            share                             95 %  df        F       p
    learning_rate (within optimizer)  100 %  ━━━━━━━━━━━━━━━━━━━─  100-100 %   4  9.861e9  <0.001
    batch_size (within optimizer)      <1 %  ────────────────────      0-0 %   2  7.877e6  <0.001
    dropout (within optimizer)         <1 %  ────────────────────      0-0 %   2  1.253e6  <0.001
    learning_rate × batch_size         <1 %  ────────────────────      0-0 %   4   249001  <0.001
    learning_rate × dropout            <1 %  ────────────────────      0-0 %   4    39601  <0.001
    batch_size × dropout               <1 %  ────────────────────      0-0 %   2    31.63   0.004
    optimizer                           0 %  ────────────────────      0-0 %   1        0   1.000  n.s.
    noise                              <1 %  ────────────────────              4

    The two that matter most
    validation/accuracy: best for each pair of values, over all others
                             batch_size
    learning_rate            16          32
    1e-5 (optimizer=adamw)   ░░ 75.8 %   ░░ 75.5 %
    1e-4 (optimizer=adamw)   ██ 92.5 %*  ██ 92.1 %
    0.001 (optimizer=adamw)  ░░ 75.8 %   ░░ 75.5 %
    0.001 (optimizer=sgd)    ░░ 75.8 %   ░░ 75.5 %
    0.01 (optimizer=sgd)     ██ 92.5 %   ██ 92.1 %
    0.1 (optimizer=sgd)      ░░ 75.8 %   ░░ 75.5 %
    ░░ 75.5 %   ██ 92.5 %   * best of all   ×× no value   ×N: N trials came to nothing   - not tried

    learning_rate: each value at its best over all others
    learning_rate              best  median  trials
    1e-5 (optimizer=adamw)   75.8 %  75.6 %       4
    1e-4 (optimizer=adamw)   92.5 %  92.2 %       4  * best
    0.001 (optimizer=adamw)  75.8 %  75.6 %       4
    0.001 (optimizer=sgd)    75.8 %  75.6 %       4
    0.01 (optimizer=sgd)     92.5 %  92.2 %       4
    0.1 (optimizer=sgd)      75.8 %  75.6 %       4

    batch_size: each value at its best over all others
    batch_size    best  median  trials
    16          92.5 %  75.8 %      12  * best
    32          92.1 %  75.5 %      12

    dropout: each value at its best over all others
    dropout    best  median  trials
    0.1      92.5 %  75.8 %      12  * best
    0.3      92.4 %  75.7 %      12

    optimizer: each value at its best over all others
    optimizer    best  median  trials
    adamw      92.5 %  75.8 %      12  * best
    sgd        92.5 %  75.8 %      12

    Best value by the number of configurations
    not told: the configurations are no independent draws
    ");
    assert!(!text.contains('\x1b'), "no colours where stdout is no terminal");

    let json = sandbox.converge(&["explain", "nested", "--json"]).expect_code(0).json();
    assert_eq!(json["sweep"], "nested");
    assert_eq!(json["parameters"][0], "learning_rate");
    assert_eq!(json["standing"]["trials"], 24);
    let parts = json["variance"]["parts"].as_array().unwrap();
    let sum: f64 = parts.iter().map(|part| part["share"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    assert_eq!(parts[0]["parameters"][0], "learning_rate");
    assert_eq!(json["isolation"][0]["levels"].as_array().unwrap().len(), 6);
    assert_eq!(json["sensitivity"].as_array().unwrap().len(), 2);
    assert_eq!(json["expected_best"].as_array().unwrap().len(), 0, "a grid is no draw");
    assert!(json["summary"][0].as_str().unwrap().starts_with("24 trials: 24 completed"));

    // The same twice, and by another metric.
    assert_eq!(sandbox.converge(&["explain"]).stdout, text);
    let loss = sandbox.converge(&["explain", "--metric", "validation/loss", "--json"]).json();
    assert_eq!(loss["objective"]["goal"], "minimize");
    let unknown = sandbox.converge(&["explain", "--metric", "validation/los"]).expect_code(2);
    assert!(unknown.stderr.contains("did you mean `validation/loss`?"), "{}", unknown.stderr);
}

#[test]
fn a_random_sweep_is_explained_by_importances_and_its_outlook() {
    let sandbox = sandbox(RANDOM, 0);
    let text = sandbox.converge(&["explain"]).expect_code(0).stdout;
    insta::assert_snapshot!(text, @r"
    sweep `random`: what mattered
    - 40 trials: 29 better than a constant answer, 11 no better than a constant answer.
    - Whether a configuration works at all is up to learning_rate (92 % of the importance).
    - Importance for being among the best 5: learning_rate 98 % [44-99 %]; dropout and batch_size no
      more than luck would give.
    - A learning rate picked blindly from those tried costs on average 13.3 points (2.2e-6 to 0.0046).
    - 20 more configurations of the same kind would raise the best of 92.4 % by 0.25 points at most, on
      average.

    What decides whether a configuration works (29 of 40)
    parameter      share                        bootstrap  importance  by luck      p
    learning_rate   92 %  ━━━━━━━━━━━━━━━━━━──    53-98 %       0.062    0.018  0.002
    dropout          8 %  ━───────────────────     1-47 %      0.0052    0.019  0.463  n.s.
    batch_size      <1 %  ────────────────────     0-10 %      2.2e-5   0.0069  1.000  n.s.

    What decides, among the better half that works, which are the best (5 of 15)
    parameter      share                        bootstrap  importance  by luck      p
    learning_rate   98 %  ━━━━━━━━━━━━━━━━━━━─    44-99 %        0.21      0.1  0.002
    dropout          1 %  ────────────────────     0-55 %       0.003    0.051  0.854  n.s.
    batch_size       1 %  ────────────────────     0-12 %      0.0021    0.013  0.631  n.s.

    The two that matter most
    validation/accuracy: best for each pair of values, over all others
                      dropout
    learning_rate     0 to 0.05     0.05 to 0.1   0.1 to 0.15   0.15 to 0.2   0.2 to 0.25   0.25 to 0.3
    1e-6 to 4.6e-6     -             -            ░░ 65.9 % ×1   -            ░░ 59.9 % ×2  ▒▒ 66.4 % ×2
    4.6e-6 to 2.2e-5  ▓▓ 78.0 %      -            ▒▒ 69.3 %      -            ▒▒ 72.4 %     ▓▓ 76.6 %
    2.2e-5 to 1e-4    ██ 91.6 %     ██ 92.3 %      -            ██ 90.6 %     ██ 91.7 %     ██ 91.3 %
    1e-4 to 4.6e-4     -             -            ██ 86.5 %     ██ 92.4 %*     -             -
    4.6e-4 to 0.0022   -            ▒▒ 73.5 %      -            ▓▓ 78.3 %     ▓▓ 79.1 %     ▓▓ 78.9 %
    0.0022 to 0.01    ░░ 58.7 % ×1  ░░ 59.6 % ×1   -            ▒▒ 66.3 % ×2   -            ░░ 57.4 % ×2
    ░░ 57.4 %   ██ 92.4 %   * best of all   ×× no value   ×N: N trials came to nothing   - not tried

    learning_rate: each value at its best over all others
    learning_rate       best  median  trials  at chance
    1e-6 to 4.6e-6    66.4 %  59.9 %       7          5
    4.6e-6 to 2.2e-5  78.0 %  73.2 %       6          0
    2.2e-5 to 1e-4    92.3 %  90.6 %      11          0
    1e-4 to 4.6e-4    92.4 %  86.5 %       3          0  * best
    4.6e-4 to 0.0022  79.1 %  75.9 %       6          0
    0.0022 to 0.01    66.3 %  58.6 %       7          6

    dropout: each value at its best over all others
    dropout        best  median  trials  at chance
    0 to 0.05    91.6 %  78.0 %       5          1
    0.05 to 0.1  92.3 %  79.1 %       4          1
    0.1 to 0.15  86.5 %  67.6 %       4          1
    0.15 to 0.2  92.4 %  84.5 %      11          2  * best
    0.2 to 0.25  91.7 %  72.4 %       5          2
    0.25 to 0.3  91.3 %  68.8 %      11          4

    batch_size: each value at its best over all others
    batch_size    best  median  trials  at chance
    16          92.4 %  72.4 %      25          7  * best
    32          91.7 %  79.1 %      15          4

    Best value by the number of configurations
    after  validation/accuracy  estimate
        1               74.3 %  unbiased
        2               81.7 %  unbiased
        4               87.6 %  unbiased
        8               90.8 %  unbiased
       16               92.0 %  unbiased
       32               92.2 %  plug-in, a little low
       40               92.3 %  plug-in, a little low
    ");
}

#[test]
fn a_map_fits_its_terminal_and_has_its_colours() {
    let sandbox = sandbox(&NESTED.replace("REPLICATES", "replicates = 2"), 0);
    for columns in ["40", "60", "200"] {
        let mut command = sandbox.command(&["explain"]);
        let text =
            converge_tests::Output::of(command.env("COLUMNS", columns)).expect_code(0).stdout;
        let width: usize = columns.parse().unwrap();
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        // The legend may be longer than a very narrow terminal.
        assert!(widest <= width.max(80), "{widest} > {columns}:\n{text}");
    }
}

#[test]
fn what_cannot_be_explained_is_said_in_words() {
    let one = NESTED
        .replace("REPLICATES", "")
        .replace("values = [1e-5, 1e-4, 1e-3], when = { optimizer = \"adamw\" }", "values = [1e-5]")
        .replace("{ values = [1e-3, 1e-2, 1e-1], when = { optimizer = \"sgd\" } },", "")
        .replace("batch_size = { values = [16, 32] }\n", "")
        .replace("optimizer = { values = [\"adamw\", \"sgd\"] }\n", "")
        .replace("dropout = { values = [0.1, 0.3] }\n", "");
    let first = sandbox(&one, 0);
    let text = first.converge(&["explain"]).expect_code(0).stdout;
    assert!(text.contains("One configuration: there is nothing to compare it with."), "{text}");

    let failing = NESTED.replace("REPLICATES", "")
        + "[[run.script]]\nend = \"data\"\n[failure]\nmax_consecutive = 100\n";
    let failed = sandbox(&failing, 3);
    let text = failed.converge(&["explain"]).expect_code(0).stdout;
    assert!(text.contains("24 failed"), "{text}");
    assert!(text.contains("there is no value to explain"), "{text}");
    failed.converge(&["explain", "--json"]).expect_code(0).json();

    let partly = NESTED.replace("REPLICATES", "")
        + "[[run.script]]\nend = \"diverge\"\nwhen = { learning_rate = 0.1 }\n";
    let partly = sandbox(&partly, 0);
    let text = partly.converge(&["explain"]).expect_code(0).stdout;
    assert!(text.contains("4 diverged"), "{text}");
    assert!(text.contains("learning_rate=0.1 (optimizer=sgd)"), "{text}");
    let nothing = Sandbox::new();
    nothing.converge(&["explain"]).expect_code(2);
}
