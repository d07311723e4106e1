//! What can be trained: every parameter by its Hugging Face name, in a fixed order.
//!
//! The names, and the fields that hold them, are in the table of [the mapping](crate::mapping).
//!
//! A checkpoint stores the weight of a linear layer as `[output, input]`; Burn computes with
//! `[input, output]`. [`Parameter::shape`] is ours, [`Parameter::checkpoint_shape`] the file's.
//!
//! An optimizer sees every parameter as a flat `Tensor<1>`: all of its arithmetic is elementwise,
//! flattening a contiguous tensor copies nothing, and neither ranks nor names need erasing.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};
use converge_kernels::embeddings::Rows;

use crate::classifier::BertClassifier;
use crate::mapping::Initial;

/// One trainable tensor of a model: its name, shape and treatment, without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Position in [`BertClassifier::parameters`], for tables kept beside the model.
    pub index: usize,
    /// The name in a Hugging Face checkpoint, such as
    /// `bert.encoder.layer.0.attention.self.query.weight`.
    pub name: String,
    /// The shape as computed with: `[input, output]` for the weight of a linear layer.
    pub shape: Vec<usize>,
    /// Which part of the model it belongs to.
    pub group: LayerGroup,
    /// Whether weight decay applies: to every weight, but to no bias and no `LayerNorm`.
    pub decays: bool,
    /// Path of the field in the module.
    pub(crate) path: String,
    pub(crate) transposed: bool,
    pub(crate) initial: Initial,
}

impl Parameter {
    /// Returns the number of scalars in it.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns the shape in a checkpoint: `[output, input]` for the weight of a linear layer.
    pub fn checkpoint_shape(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        if self.transposed {
            shape.reverse();
        }
        shape
    }

    /// Says whether a checkpoint has it in another order.
    pub(crate) fn is_transposed(&self) -> bool {
        self.transposed
    }

    /// Reorders values from the layout of a checkpoint to ours.
    ///
    /// # Panics
    /// If there are not [`elements`](Self::elements) values.
    pub fn from_checkpoint_layout(&self, values: Vec<f32>) -> Vec<f32> {
        self.reordered(values, self.checkpoint_shape())
    }

    /// Reorders values from our layout to that of a checkpoint.
    ///
    /// # Panics
    /// If there are not [`elements`](Self::elements) values.
    pub fn to_checkpoint_layout(&self, values: Vec<f32>) -> Vec<f32> {
        self.reordered(values, self.shape.clone())
    }

    fn reordered(&self, values: Vec<f32>, from: Vec<usize>) -> Vec<f32> {
        assert_eq!(values.len(), self.elements(), "`{}` holds another number of values", self.name);
        let (true, &[rows, columns]) = (self.transposed, from.as_slice()) else { return values };
        // In squares, so that the lines of memory that are read and written stay in the cache.
        const SIDE: usize = 32;
        let mut reordered = vec![0.0; values.len()];
        for first_row in (0..rows).step_by(SIDE) {
            let last_row = (first_row + SIDE).min(rows);
            for first_column in (0..columns).step_by(SIDE) {
                for column in first_column..(first_column + SIDE).min(columns) {
                    let target = &mut reordered[column * rows..][first_row..last_row];
                    let source = values[first_row * columns + column..].iter().step_by(columns);
                    target.iter_mut().zip(source).for_each(|(target, value)| *target = *value);
                }
            }
        }
        reordered
    }
}

/// The gradient of a loss by one parameter.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a hundred of them live for one step")]
pub enum Gradient {
    /// All of it.
    Dense(Tensor<1>),
    /// The rows that are not zero, as the word table has on the processor.
    Rows(Rows),
}

impl Gradient {
    /// Returns all of it, with its zeros.
    ///
    /// Waits for the device and copies.
    pub fn into_values(self, parameter: &Parameter) -> Vec<f32> {
        match (self, parameter.shape.as_slice()) {
            (Self::Dense(tensor), _) => values(tensor),
            (Self::Rows(rows), &[count, columns]) => rows.to_matrix(count, columns),
            (Self::Rows(_), shape) => panic!("rows of a parameter of shape {shape:?}"),
        }
    }
}

/// The part of a model that a parameter belongs to, from input to output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LayerGroup {
    /// The embedding tables and their `LayerNorm`.
    Embeddings,
    /// The encoder layer of this number, from 0.
    Layer(usize),
    /// The layer between the first token and the classification: BERT's pooler, DistilBERT's `pre_classifier`,
    /// RoBERTa's `classifier.dense`.
    Pooler,
    /// The classification layer.
    Head,
}

impl BertClassifier {
    /// Returns every parameter in a fixed order: embeddings, layers, pooler, head.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Returns the parameter of a Hugging Face name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// Shows every parameter with its values, in order.
    ///
    /// The tensors are outside autodiff and share the model's memory: nothing is copied, unless a
    /// caller keeps one while the model is updated.
    ///
    /// # Shapes
    /// - tensor: `[parameter.elements()]`, row-major over [`Parameter::shape`]
    pub fn visit_parameters(&self, visit: impl FnMut(&Parameter, Tensor<1>)) {
        struct Visitor<'a, F>(Walk<'a>, F);

        impl<F: FnMut(&Parameter, Tensor<1>)> ModuleVisitor for Visitor<'_, F> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let parameter = self.0.next();
                self.1(parameter, flat(param.val().inner()));
            }
        }

        self.visit(&mut Visitor(Walk::over(&self.parameters), visit));
    }

    /// Returns the model with every parameter replaced by what `update` makes of it.
    ///
    /// Each tensor is moved out of the model, outside autodiff, before `update` sees it: if no
    /// clone of the model and no kept handle shares it, its memory is free to be written in place.
    ///
    /// # Shapes
    /// - tensor, before and after: `[parameter.elements()]`, row-major over [`Parameter::shape`]
    ///
    /// # Panics
    /// If `update` returns another number of elements.
    pub fn map_parameters(self, update: impl FnMut(&Parameter, Tensor<1>) -> Tensor<1>) -> Self {
        self.map_chosen(None, update)
    }

    /// Maps the parameter of an index, or all.
    fn map_chosen(
        self,
        chosen: Option<usize>,
        update: impl FnMut(&Parameter, Tensor<1>) -> Tensor<1>,
    ) -> Self {
        struct Mapper<'a, F>(Walk<'a>, Option<usize>, F);

        impl<F: FnMut(&Parameter, Tensor<1>) -> Tensor<1>> ModuleMapper for Mapper<'_, F> {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let parameter = self.0.next();
                if self.1.is_some_and(|chosen| chosen != parameter.index) {
                    return param;
                }
                param.map(|tensor| {
                    let shape = tensor.shape();
                    let trained = tensor.is_require_grad();
                    let strategy = tensor.gradient_checkpointing_strategy();
                    let updated = (self.2)(parameter, flat(tensor.inner())).inner();
                    let updated = updated.reshape::<D, _>(shape);
                    match strategy {
                        Some(strategy) => updated
                            .autodiff()
                            .with_gradient_checkpointing_strategy(strategy)
                            .set_require_grad(trained),
                        None => updated,
                    }
                })
            }
        }

        let parameters = self.parameters.clone();
        self.map(&mut Mapper(Walk::over(&parameters), chosen, update))
    }

    /// Returns the model with one parameter replaced by what `update` makes of it, as
    /// [`map_parameters`](Self::map_parameters) does with all of them.
    ///
    /// # Panics
    /// If `update` returns another number of elements.
    pub fn map_parameter(self, index: usize, update: impl FnOnce(Tensor<1>) -> Tensor<1>) -> Self {
        let mut update = Some(update);
        self.map_chosen(Some(index), |_, tensor| match update.take() {
            Some(update) => update(tensor),
            None => tensor,
        })
    }

    /// Takes the gradient of every parameter out of a backward pass, in the order of
    /// [`parameters`](Self::parameters); `None` where the loss does not depend on it.
    ///
    /// # Shapes
    /// - each, dense: `[parameter.elements()]`, row-major over [`Parameter::shape`]
    pub fn take_gradients(&self, gradients: Gradients) -> Vec<Option<Gradient>> {
        struct Visitor(Gradients, Vec<Option<Tensor<1>>>);

        impl ModuleVisitor for Visitor {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.1.push(param.val().grad_remove(&mut self.0).map(flat));
            }
        }

        let mut visitor = Visitor(gradients, Vec::with_capacity(self.parameters.len()));
        self.visit(&mut visitor);
        let found: Vec<_> =
            visitor.1.into_iter().map(|gradient| gradient.map(Gradient::Dense)).collect();
        #[cfg(feature = "flex")]
        let mut found = found;
        #[cfg(feature = "flex")]
        let is_word_table = |parameter: &&Parameter| parameter.path == crate::mapping::WORD_TABLE;
        #[cfg(feature = "flex")]
        if let (Some(rows), Some(table)) =
            (self.word_rows.take(), self.parameters.iter().find(is_word_table))
        {
            found[table.index] = Some(Gradient::Rows(rows));
        }
        found
    }

    /// Returns the values of one parameter in the layout of a checkpoint, or `None` if the model
    /// has no parameter of this name.
    ///
    /// Waits for the device and copies.
    pub fn parameter_data(&self, name: &str) -> Option<TensorData> {
        let mut data = None;
        self.visit_parameters(|parameter, tensor| {
            if parameter.name == name {
                let values = parameter.to_checkpoint_layout(values(tensor));
                data = Some(TensorData::new(values, parameter.checkpoint_shape()));
            }
        });
        data
    }
}

/// Gives each parameter its values for the first time, without allocating any others.
///
/// `values` returns them in our layout, or `None` to leave the parameter as it is.
pub(crate) fn fill(
    model: BertClassifier,
    values: impl FnMut(&Parameter) -> Option<Vec<f32>>,
) -> BertClassifier {
    struct Mapper<'a, F> {
        walk: Walk<'a>,
        path: Vec<String>,
        values: F,
    }

    impl<F: FnMut(&Parameter) -> Option<Vec<f32>>> ModuleMapper for Mapper<'_, F> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let parameter = self.walk.next();
            let path = self.path.join(".");
            assert_eq!(parameter.path, path, "the table names parameters in the module's order");
            let shape = param.lazy_shape().to_vec();
            assert_eq!(parameter.shape, shape, "the table gives `{path}` its shape");
            let Some(values) = (self.values)(parameter) else { return param };
            let data = TensorData::new(values, shape);
            let tensor = Tensor::from_data(data, &param.lazy_device());
            let id = param.id;
            param.transform_for_load(tensor, id)
        }
    }

    let parameters = model.parameters.clone();
    let mut mapper = Mapper { walk: Walk::over(&parameters), path: Vec::new(), values };
    let model = model.map(&mut mapper);
    assert!(mapper.walk.is_done(), "the module holds every parameter of the table");
    model
}

/// Reads a tensor's values, waiting for the device.
///
/// # Panics
/// If the device fails to hand them over: nothing can go on without them.
pub(crate) fn values(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().expect("a float tensor reads as f32")
}

/// Shows a tensor's values, without copying them where they are in this process's memory.
///
/// Waits for the device.
pub fn read_values<R>(tensor: &Tensor<1>, read: impl FnOnce(&[f32]) -> R) -> R {
    #[cfg(feature = "flex")]
    if let Ok(primitive) = tensor.clone().try_into_primitive::<burn::backend::Flex>()
        && let Some(values) = primitive.as_slice()
    {
        return read(values);
    }
    read(&values(tensor.clone()))
}

fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let elements = tensor.shape().num_elements();
    tensor.reshape([elements])
}

/// The table's rows, one for each parameter as Burn comes to it.
struct Walk<'a> {
    parameters: std::slice::Iter<'a, Parameter>,
}

impl<'a> Walk<'a> {
    fn over(parameters: &'a [Parameter]) -> Self {
        Self { parameters: parameters.iter() }
    }

    fn next(&mut self) -> &'a Parameter {
        self.parameters.next().expect("the table names every parameter of the module")
    }

    fn is_done(&self) -> bool {
        self.parameters.len() == 0
    }
}
