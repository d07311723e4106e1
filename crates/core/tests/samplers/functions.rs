//! Functions to search the least value of. `scripts/reference/make_sampler_goldens.py` has the same.

use converge_core::search_space::{Configuration, Domain, Parameter};
use converge_core::sweep::Sweep;
use converge_core::sweep_file::read;

/// A function, and the space over which it is searched.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) parameters: Vec<Parameter>,
    /// What is above the least value.
    pub(crate) regret: fn(&Configuration) -> f64,
}

pub(crate) fn all() -> [Function; 3] {
    [
        Function { name: "branin", parameters: plane(), regret: branin },
        Function { name: "hartmann", parameters: cube(), regret: hartmann },
        Function { name: "fine_tune", parameters: tuned(), regret: fine_tune },
    ]
}

/// Returns a sweep that searches the least value of its objective.
pub(crate) fn sweep(method: &str, seed: u64, trials: u64, parameters: &[Parameter]) -> Sweep {
    let text = format!(
        "[sweep]\nname = \"x\"\nmethod = \"{method}\"\nseed = {seed}\nobjective = {{ metric = \"validation/loss\" }}\n\
         [model]\npreset = \"tiny\"\n[data]\ntrain = \"a.csv\"\n[budget]\nmax_trials = {trials}\n"
    );
    let mut sweep = read(&text, "s.toml", &[]).unwrap();
    sweep.parameters = parameters.to_vec();
    sweep
}

/// Returns the parameters of a sweep file.
pub(crate) fn parameters(text: &str) -> Vec<Parameter> {
    let head = "[sweep]\nname = \"x\"\nmethod = \"random\"\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"a.csv\"\n\
                [budget]\nmax_trials = 1\n[parameters]\n";
    read(&format!("{head}{text}"), "s.toml", &[]).unwrap().parameters
}

fn number(configuration: &Configuration, name: &str) -> f64 {
    configuration[name].number().unwrap()
}

/// Two keys whose bounds are set aside: any number will do.
fn plane() -> Vec<Parameter> {
    let mut parameters = parameters(
        "learning_rate = { min = 1.0, max = 2.0 }\nweight_decay = { min = 1.0, max = 2.0 }\n",
    );
    for (parameter, (min, max)) in parameters.iter_mut().zip([(-5.0, 10.0), (0.0, 15.0)]) {
        parameter.cases[0].domain = Domain::Uniform { min, max, count: None };
    }
    parameters
}

fn branin(configuration: &Configuration) -> f64 {
    use std::f64::consts::PI;
    let (x, y) = (number(configuration, "learning_rate"), number(configuration, "weight_decay"));
    let value = (y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0).powi(2);
    value + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0 - 0.39788735772973816
}

const AXES: [&str; 6] = [
    "learning_rate",
    "weight_decay",
    "epsilon",
    "max_grad_norm",
    "head_init_std",
    "head_learning_rate_multiplier",
];

fn cube() -> Vec<Parameter> {
    let text: String =
        AXES.iter().map(|name| format!("{name} = {{ min = 1.0, max = 2.0 }}\n")).collect();
    let mut parameters = parameters(&text);
    for parameter in &mut parameters {
        parameter.cases[0].domain = Domain::Uniform { min: 0.0, max: 1.0, count: None };
    }
    parameters
}

/// A hill: its height, how steep it is along each axis, and its centre.
type Hill = (f64, [f64; 6], [f64; 6]);

const HARTMANN: [Hill; 4] = [
    (1.0, [10.0, 3.0, 17.0, 3.5, 1.7, 8.0], [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886]),
    (1.2, [0.05, 10.0, 17.0, 0.1, 8.0, 14.0], [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991]),
    (3.0, [3.0, 3.5, 1.7, 10.0, 17.0, 8.0], [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650]),
    (3.2, [17.0, 8.0, 0.05, 10.0, 0.1, 14.0], [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381]),
];

fn hartmann(configuration: &Configuration) -> f64 {
    let point = AXES.map(|name| number(configuration, name));
    let hills = HARTMANN.iter().map(|(height, steepness, centre)| {
        let far = (0..6).map(|axis| steepness[axis] * (point[axis] - centre[axis]).powi(2));
        height * (-far.sum::<f64>()).exp()
    });
    3.322368011391339 - hills.sum::<f64>()
}

fn tuned() -> Vec<Parameter> {
    parameters(
        "optimizer = { values = [\"adamw\", \"sgd\"] }\n\
         batch_size = { values = [8, 16, 32, 64] }\n\
         epochs = { min = 1, max = 6 }\n\
         dropout = { min = 0.0, max = 0.5, step = 0.1 }\n\
         warmup_ratio = { min = 0.0, max = 0.5 }\n\
         learning_rate = [\n\
         { distribution = \"log_uniform_values\", min = 1e-6, max = 1e-3, when = { optimizer = \"adamw\" } },\n\
         { distribution = \"log_uniform_values\", min = 1e-4, max = 1.0, when = { optimizer = \"sgd\" } } ]\n\
         momentum = { min = 0.0, max = 0.99, when = { optimizer = \"sgd\" } }\n",
    )
}

/// A caricature of a validation loss, with what exists for one optimizer only.
fn fine_tune(configuration: &Configuration) -> f64 {
    let of = |name| number(configuration, name);
    let doublings = (of("batch_size") / 16.0).log2();
    let rate = of("learning_rate");
    let (off, mut value) = match configuration.get("momentum") {
        None => (rate.log10() + 4.5 - 0.15 * doublings, 0.0),
        Some(_) => {
            let momentum = of("momentum");
            let off = (rate / (1.0 - momentum)).log10() + 1.0 - 0.15 * doublings;
            (off, 0.03 + 0.05 * (momentum - 0.9).powi(2))
        }
    };
    // Too small a rate learns little, too large a one nothing.
    value += if off < 0.0 { 0.1 * off * off } else { (0.4 * off * off).min(0.6) };
    value += 0.01 * doublings * doublings + 0.01 * (of("epochs") - 4.0).powi(2);
    value + (of("dropout") - 0.1).powi(2) + 0.5 * (of("warmup_ratio") - 0.1).powi(2)
}
