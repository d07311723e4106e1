//! `docs/metrics.md` lists the metrics of the table in `core/src/metric.rs`, row by row.

use converge_core::metric::{METRICS, Metric, default_of};
use converge_core::objective::Goal;
use converge_core::task::Task;

fn row(metric: &Metric) -> String {
    let tasks: Vec<&str> = metric.tasks.iter().map(|task| task.word()).collect();
    let better = match metric.goal {
        Some(Goal::Maximize) => "larger",
        Some(Goal::Minimize) => "smaller",
        None => "neither",
    };
    let Metric { meaning, reference, .. } = metric;
    format!("| `{}` | {} | {better} | {meaning} | {reference} |", metric.shown(), tasks.join(", "))
}

#[test]
fn the_page_lists_every_metric_as_the_table_has_it() {
    let path = converge_tests::repository().join("docs/metrics.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let found: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = METRICS.iter().map(row).collect();
    assert_eq!(found, expected, "`{}` needs these rows:\n{}", path.display(), expected.join("\n"));
    for task in Task::ALL {
        let line = format!("- `{}`: `{}`", task.word(), default_of(task));
        assert!(page.contains(&line), "`{line}` is missing");
    }
}
